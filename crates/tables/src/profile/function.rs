//! Profiles as an aggregate function, so that a cluster computes them where the rows are.
//!
//! `everloop_profile(a, b, ...)` gives the profile of its arguments as a JSON document whose columns are called `0`,
//! `1`, ... Partial states travel as the same document. Workers must know the function; Everloop's own do.

use super::builder::ProfileBuilder;
use super::{Profile, ProfileOptions};
use crate::error::Error;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// The name of the function.
pub(crate) const NAME: &str = "everloop_profile";

/// The aggregate function that profiles its arguments. Engines that run plans elsewhere give it to their workers.
#[must_use]
pub fn profile_function() -> AggregateUDF {
    AggregateUDF::from(ProfileFunction {
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ProfileFunction {
    signature: Signature,
}

impl AggregateUDFImpl for ProfileFunction {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format_state_name(arguments.name, "profile");
        Ok(vec![Arc::new(Field::new(name, DataType::Utf8, true))])
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if arguments.is_distinct {
            return exec_err!("{NAME} takes no DISTINCT");
        }
        let fields: Vec<Field> = arguments
            .expr_fields
            .iter()
            .enumerate()
            .map(|(index, field)| Field::new(index.to_string(), field.data_type().clone(), true))
            .collect();
        let builder =
            ProfileBuilder::new(&Schema::new(fields), &ProfileOptions::default()).map_err(external)?;
        Ok(Box::new(ProfileAccumulator {
            builder,
            merged: None,
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct ProfileAccumulator {
    builder: ProfileBuilder,
    /// What other parts have seen.
    merged: Option<Profile>,
}

impl ProfileAccumulator {
    fn document(&mut self) -> Result<ScalarValue> {
        let empty = self.builder.fresh();
        let own = std::mem::replace(&mut self.builder, empty).finish();
        let profile = match self.merged.take() {
            None => own,
            Some(mut merged) => {
                merged.merge(&own).map_err(external)?;
                merged
            }
        };
        Ok(ScalarValue::Utf8(Some(profile.to_json())))
    }
}

impl Accumulator for ProfileAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |array| array.len());
        self.builder.push_columns(values, rows).map_err(external)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.document()
    }

    fn size(&self) -> usize {
        std::mem::size_of_val(self) + self.builder.memory()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.document()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else {
            return exec_err!("{NAME} has one state");
        };
        for text in states.as_string::<i32>().iter().flatten() {
            let profile = Profile::from_json(text).map_err(external)?;
            match &mut self.merged {
                None => self.merged = Some(profile),
                Some(merged) => merged.merge(&profile).map_err(external)?,
            }
        }
        Ok(())
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
