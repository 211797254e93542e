//! From a list of files to a table.

mod widen;

use crate::arrow_file;
use crate::cpu::panic_text;
use crate::error::{Error, Result, from_datafusion};
use crate::resolve::Files;
use crate::source::{CsvFormat, Format};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat as CsvReader;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{TableProvider, ViewTable, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit, when};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use widen::Wide;

/// JSON lines read to find out the types of the columns.
const JSON_INFER_ROWS: usize = 1_000;

/// Files asked for their schema at the same time.
const SCHEMAS_AT_ONCE: usize = 32;

/// The one format that all files have by their extensions.
pub(crate) fn common_format(files: &Files) -> Result<Format> {
    let mut found: Option<(Format, String)> = None;
    for file in &files.files {
        let path = file.location.to_string();
        let format = Format::of_name(&path).ok_or_else(|| Error::UnknownFormat { path: path.clone() })?;
        match &found {
            None => found = Some((format, path)),
            Some((first, _)) if *first == format => {}
            Some((_, first)) => {
                return Err(Error::MixedFormats {
                    first: first.clone(),
                    second: path,
                });
            }
        }
    }
    found.map(|(format, _)| format).ok_or(Error::EmptySource)
}

/// A table over files of one format, with at most `max_columns`. Reads what the types need, not the rows.
///
/// Files of Parquet and Arrow say their types themselves; where they differ, the table has what [`widen`]
/// makes of them. Files of text have the types that their first records together ask for.
pub(crate) async fn table(
    state: &SessionState,
    files: &Files,
    format: &Format,
    max_columns: usize,
) -> Result<Arc<dyn TableProvider>> {
    // An empty file has neither rows nor a schema.
    let full: Vec<ObjectMeta> = files.files.iter().filter(|file| file.size > 0).cloned().collect();
    if full.is_empty() {
        return Err(Error::EmptySource);
    }
    match format {
        Format::Csv(_) | Format::JsonLines => {
            let schema = text_schema(state, files, format, &full).await?;
            check_columns(&schema, max_columns)?;
            match format {
                Format::Csv(csv) if !csv.nulls.is_empty() => {
                    let texts = listing(files, &full, format, as_texts(&schema))?;
                    with_nulls(texts, &schema, csv)
                }
                _ => Ok(Arc::new(listing(files, &full, format, schema)?)),
            }
        }
        Format::Parquet | Format::Arrow => {
            let (runs, schema) = typed(state, files, format, &full).await?;
            check_columns(&schema, max_columns)?;
            match (format, runs.as_slice()) {
                // The reader of Parquet casts each file's columns to the table's. That of Arrow takes them for what
                // the table says.
                (Format::Arrow, [_, _, ..]) => in_runs(files, format, &full, &runs, &schema),
                _ => Ok(Arc::new(listing(files, &full, format, schema)?)),
            }
        }
    }
}

/// Files in a row that have one schema.
struct Run {
    schema: SchemaRef,
    files: usize,
}

/// The schemas of files that say their types, and the one that all of them fit in.
async fn typed(
    state: &SessionState,
    files: &Files,
    format: &Format,
    full: &[ObjectMeta],
) -> Result<(Vec<Run>, SchemaRef)> {
    // Made before they are polled: a closure inside the stream would hide from the compiler that they are `Send`.
    let asked: Vec<_> = full
        .iter()
        .map(|file| file_schema(state, files, format, file))
        .collect();
    let mut schemas = futures::stream::iter(asked).buffered(SCHEMAS_AT_ONCE);
    let mut wide = Wide::default();
    let mut runs: Vec<Run> = Vec::new();
    let mut index = 0;
    while let Some(schema) = schemas.try_next().await? {
        wide.add(&schema).map_err(|clash| Error::MixedTypes {
            column: clash.column,
            first: clash.before.1.to_string(),
            first_file: files.name(&full[clash.before.0]),
            second: clash.found.to_string(),
            second_file: files.name(&full[index]),
        })?;
        match runs.last_mut() {
            Some(run) if run.schema.fields() == schema.fields() => run.files += 1,
            _ => runs.push(Run { schema, files: 1 }),
        }
        index += 1;
    }
    // One schema is taken as it is, with what its writer noted beside the types.
    let schema = match runs.as_slice() {
        [run] => Arc::clone(&run.schema),
        _ => Arc::new(wide.finish()),
    };
    Ok((runs, schema))
}

/// One table from files of different columns: a view that reads each run of files as it is, and casts.
fn in_runs(
    files: &Files,
    format: &Format,
    full: &[ObjectMeta],
    runs: &[Run],
    schema: &Schema,
) -> Result<Arc<dyn TableProvider>> {
    let mut plan: Option<LogicalPlanBuilder> = None;
    let mut start = 0;
    for run in runs {
        let some = &full[start..start + run.files];
        start += run.files;
        let table = listing(files, some, format, Arc::clone(&run.schema))?;
        let columns = schema.fields().iter().map(|field| {
            let name = field.name();
            let value = match run.schema.field_with_name(name) {
                Ok(own) if own.data_type() == field.data_type() => Expr::Column(Column::from_name(name)),
                Ok(_) => cast(Expr::Column(Column::from_name(name)), field.data_type().clone()),
                Err(_) => cast(lit(ScalarValue::Null), field.data_type().clone()),
            };
            value.alias(name)
        });
        let part = LogicalPlanBuilder::scan("file", provider_as_source(Arc::new(table)), None)
            .and_then(|part| part.project(columns))
            .map_err(from_datafusion)?;
        plan = Some(match plan {
            None => part,
            Some(before) => before
                .union(part.build().map_err(from_datafusion)?)
                .map_err(from_datafusion)?,
        });
    }
    let plan = plan.ok_or(Error::EmptySource)?.build().map_err(from_datafusion)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Refuses tables that are wider than the limit.
pub(crate) fn check_columns(schema: &Schema, limit: usize) -> Result<()> {
    let found = schema.fields().len();
    if found > limit {
        return Err(Error::TooManyColumns { found, limit });
    }
    Ok(())
}

/// The schema that all files of text share.
async fn text_schema(
    state: &SessionState,
    files: &Files,
    format: &Format,
    full: &[ObjectMeta],
) -> Result<SchemaRef> {
    let place = full.first().map(|file| file.location.to_string());
    let inferring = async {
        let inferred = reader(format).infer_schema(state, &files.store, full).await;
        inferred.map_err(from_datafusion)
    };
    guarded(format, place, inferring).await
}

/// The schema that a file says it has.
async fn file_schema(
    state: &SessionState,
    files: &Files,
    format: &Format,
    file: &ObjectMeta,
) -> Result<SchemaRef> {
    let inferring = async {
        if matches!(format, Format::Arrow) {
            return arrow_file::schema(&files.store, file).await;
        }
        let one = std::slice::from_ref(file);
        let inferred = reader(format).infer_schema(state, &files.store, one).await;
        inferred.map_err(from_datafusion)
    };
    guarded(format, Some(file.location.to_string()), inferring).await
}

/// A reader that panics over a file says that the file is damaged.
async fn guarded(
    format: &Format,
    place: Option<String>,
    inferring: impl Future<Output = Result<SchemaRef>>,
) -> Result<SchemaRef> {
    match AssertUnwindSafe(inferring).catch_unwind().await {
        Ok(schema) => schema,
        Err(panic) => Err(Error::Damaged {
            format: format.name(),
            detail: panic_text(panic.as_ref()),
            place,
        }),
    }
}

fn listing(files: &Files, full: &[ObjectMeta], format: &Format, schema: SchemaRef) -> Result<ListingTable> {
    let urls = full
        .iter()
        .map(|file| ListingTableUrl::try_new(files.url(file), None))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(from_datafusion)?;
    let options = ListingOptions::new(reader(format)).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    ListingTable::try_new(config).map_err(from_datafusion)
}

fn reader(format: &Format) -> Arc<dyn FileFormat> {
    match format {
        Format::Parquet => Arc::new(ParquetFormat::default()),
        Format::Csv(csv) => Arc::new(csv_reader(csv)),
        Format::JsonLines => Arc::new(JsonFormat::default().with_schema_infer_max_rec(JSON_INFER_ROWS)),
        Format::Arrow => Arc::new(ArrowFormat),
    }
}

fn csv_reader(csv: &CsvFormat) -> CsvReader {
    let nulls = (!csv.nulls.is_empty()).then(|| {
        let texts: Vec<String> = csv.nulls.iter().map(|text| regex::escape(text)).collect();
        format!("^(|{})$", texts.join("|"))
    });
    CsvReader::default()
        .with_has_header(csv.header)
        .with_delimiter(csv.delimiter)
        .with_null_regex(nulls)
        .with_schema_infer_max_rec(csv.infer_rows.max(1))
        // A file is then read by one thread, but a line break inside quotes can never cut a record in two.
        .with_newlines_in_values(true)
}

fn as_texts(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// DataFusion uses the texts for null to find out the types and then forgets them. So the cells are read as texts, and
/// a view turns those that mean null to null and the others to their types.
fn with_nulls(texts: ListingTable, schema: &Schema, csv: &CsvFormat) -> Result<Arc<dyn TableProvider>> {
    let nulls: Vec<Expr> = csv.nulls.iter().map(lit).chain([lit("")]).collect();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let text = Expr::Column(Column::from_name(field.name()));
            let value = when(
                text.clone().in_list(nulls.clone(), true),
                cast(text, field.data_type().clone()),
            );
            value.end().map(|value| value.alias(field.name()))
        })
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(from_datafusion)?;
    let plan = LogicalPlanBuilder::scan("file", provider_as_source(Arc::new(texts)), None)
        .and_then(|plan| plan.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
