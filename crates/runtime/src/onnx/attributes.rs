//! The attributes of one node, read by name and kind.

use super::proto::{AttributeProto, NodeProto, TensorProto};
use super::tensor::{OpResult, Tensor, Type, to_text};

pub(super) struct Attributes<'a>(pub(super) &'a NodeProto);

impl<'a> Attributes<'a> {
    fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0
            .attribute
            .iter()
            .find(|attribute| attribute.name.as_deref() == Some(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.i
    }

    pub(super) fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.int(name).map_or(default, |value| value != 0)
    }

    pub(super) fn float_or(&self, name: &str, default: f32) -> f32 {
        self.get(name)
            .and_then(|attribute| attribute.f)
            .unwrap_or(default)
    }

    pub(super) fn text(&self, name: &str) -> OpResult<Option<String>> {
        match self.get(name).and_then(|attribute| attribute.s.as_ref()) {
            Some(bytes) => to_text(bytes).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn text_or(&self, name: &str, default: &str) -> OpResult<String> {
        Ok(self.text(name)?.unwrap_or_else(|| default.to_owned()))
    }

    pub(super) fn ints(&self, name: &str) -> &'a [i64] {
        self.get(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(super) fn floats(&self, name: &str) -> &'a [f32] {
        self.get(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(super) fn texts(&self, name: &str) -> OpResult<Vec<String>> {
        let Some(attribute) = self.get(name) else {
            return Ok(Vec::new());
        };
        attribute.strings.iter().map(|text| to_text(text)).collect()
    }

    pub(super) fn tensor_proto(&self, name: &str) -> Option<&'a TensorProto> {
        self.get(name)?.t.as_ref()
    }

    pub(super) fn tensor(&self, name: &str) -> OpResult<Option<Tensor>> {
        self.tensor_proto(name).map(Tensor::from_proto).transpose()
    }

    /// An element type, such as `to` of Cast.
    pub(super) fn element_type(&self, name: &str) -> OpResult<Type> {
        let code = self.int_or(name, 0);
        i32::try_from(code)
            .ok()
            .and_then(Type::from_onnx)
            .ok_or_else(|| format!("element type {code}"))
    }
}
