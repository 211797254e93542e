//! Why: the chain from an answer back to the data it was learned from.

use everloop_core::{EndpointName, ModelName, PredictionId};
use everloop_registry::aliases;
use everloop_serving::endpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::advance::number_of;
use crate::decisions::decisions;
use crate::{Controller, Error, Result};

/// Spans of the champion alias that are looked back on.
pub(crate) const HISTORY: usize = 1_000;

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// What it is: prediction, endpoint, version, decision, run, dataset.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub words: String,
    /// All that is known of it.
    pub facts: Value,
}

/// The chain, from what was asked about backward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// What was asked about.
    pub subject: String,
    /// The links, nearest first.
    pub chain: Vec<Link>,
}

impl Controller {
    /// Explains `subject`: a model, `model@version`, an endpoint, or a prediction's id.
    ///
    /// # Errors
    /// [`Error::Unknown`] when nothing is called so, or when a store fails.
    pub async fn why(&self, subject: &str) -> Result<Why> {
        let mut chain = Vec::new();
        if let Some((model, version)) = subject.rsplit_once('@')
            && let (Ok(model), Ok(version)) = (ModelName::new(model), version.parse())
        {
            self.explain_version(&mut chain, &model, version).await?;
        } else if let Some(row) = self.prediction(subject).await? {
            let (endpoint, model, version) = self.explain_prediction(&mut chain, subject, row);
            chain.push(Link {
                kind: "endpoint".to_owned(),
                words: format!("{endpoint} sent it to {model}@{version}"),
                name: endpoint,
                facts: Value::Null,
            });
            if let Ok(model) = ModelName::new(model) {
                self.explain_version(&mut chain, &model, version).await?;
            }
        } else if self.explain_endpoint(&mut chain, subject).await? {
        } else if let Ok(model) = ModelName::new(subject)
            && let Some(champion) = self.champion(&model).await?
        {
            self.explain_version(&mut chain, &model, champion).await?;
        }
        if chain.is_empty() {
            return Err(Error::Unknown {
                subject: subject.chars().take(128).collect(),
            });
        }
        Ok(Why {
            subject: subject.to_owned(),
            chain,
        })
    }

    async fn prediction(&self, id: &str) -> Result<Option<everloop_serving::PredictionRow>> {
        // Ids are 32 hex digits; anything else is a name.
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        Ok(self
            .0
            .parts
            .serving
            .prediction(&self.0.project, &PredictionId::new(id))
            .await?)
    }

    fn explain_prediction(
        &self,
        chain: &mut Vec<Link>,
        id: &str,
        row: everloop_serving::PredictionRow,
    ) -> (String, String, u64) {
        let text = |name: &str| {
            row.row
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let version = row.row.get("_version").and_then(Value::as_u64).unwrap_or(0);
        let score = row.row.get("_score").cloned().unwrap_or_default();
        let label = row.label.map_or("its label has not come".to_owned(), |label| {
            format!("its label is {label}")
        });
        chain.push(Link {
            kind: "prediction".to_owned(),
            name: id.to_owned(),
            words: format!("answered {score} ({}), {label}", text("_role")),
            facts: json!({ "row": row.row, "label": row.label }),
        });
        (row.endpoint.to_string(), text("_model"), version)
    }

    async fn explain_endpoint(&self, chain: &mut Vec<Link>, name: &str) -> Result<bool> {
        let Ok(name) = EndpointName::new(name) else {
            return Ok(false);
        };
        let (project, wanted) = (self.0.project.clone(), name.clone());
        let Some(found) = self
            .0
            .parts
            .db
            .read(move |tx| endpoint(tx, &project, &wanted))
            .await?
        else {
            return Ok(false);
        };
        let routes: Vec<String> = found
            .routes
            .iter()
            .map(|route| {
                format!(
                    "{}@{} ({} %)",
                    found.model,
                    route.version,
                    route.weight as f64 / 100.0
                )
            })
            .collect();
        chain.push(Link {
            kind: "endpoint".to_owned(),
            name: name.to_string(),
            words: format!("answers with {}", routes.join(", ")),
            facts: json!({ "routes": found.routes }),
        });
        let most = found
            .routes
            .iter()
            .max_by_key(|route| route.weight)
            .map(|route| route.version);
        if let Some(version) = most {
            self.explain_version(chain, &found.model, version).await?;
        }
        Ok(true)
    }

    async fn explain_version(&self, chain: &mut Vec<Link>, model: &ModelName, version: u64) -> Result<()> {
        let number = number_of(version);
        let found = self
            .0
            .parts
            .registry
            .version(&self.0.project, model, number)
            .await?;
        let found = found.ok_or_else(|| Error::NoVersion {
            model: model.clone(),
            wanted: format!("version {version}"),
        })?;
        let (project, name) = (self.0.project.clone(), model.clone());
        let subject = format!("model:{model}@{version}");
        let about = subject.clone();
        let (history, decisions) = self
            .0
            .parts
            .db
            .read(move |tx| {
                let history = aliases::history(
                    tx,
                    &project,
                    &name,
                    &crate::advance::champion_alias(),
                    None,
                    HISTORY,
                )?
                .items;
                Ok::<_, Error>((history, decisions(tx, &project, Some(&about), 50)?))
            })
            .await?;
        let served: Vec<String> = history
            .iter()
            .filter(|span| span.version == number)
            .map(|span| match span.to {
                Some(to) => format!("from {} to {to}", span.from),
                None => format!("since {}", span.from),
            })
            .collect();
        let served = if served.is_empty() {
            "never champion".to_owned()
        } else {
            format!("champion {}", served.join(", "))
        };
        chain.push(Link {
            kind: "version".to_owned(),
            name: format!("{model}@{version}"),
            words: format!("made {} by {}, {served}", found.created_at, found.created_by),
            facts: json!({
                "content": found.content, "metrics": found.metrics, "source": found.source, "run": found.run,
                "tags": found.tags, "aliases": found.aliases,
            }),
        });
        chain.extend(decisions.into_iter().map(|decision| Link {
            kind: "decision".to_owned(),
            name: decision.id.to_string(),
            words: format!("{} {}: {}", decision.at, decision.outcome, decision.words),
            facts: decision.evidence,
        }));
        self.explain_run(chain, &found).await?;
        chain.extend(found.datasets.iter().map(|dataset| Link {
            kind: "dataset".to_owned(),
            name: format!("{}@{}", dataset.name, dataset.version),
            words: format!("{} data, digest {}", dataset.role, dataset.digest),
            facts: json!(dataset),
        }));
        Ok(())
    }

    async fn explain_run(
        &self,
        chain: &mut Vec<Link>,
        version: &everloop_registry::versions::ModelVersion,
    ) -> Result<()> {
        let Some(run) = version.run.clone() else {
            return Ok(());
        };
        let (project, id) = (self.0.project.clone(), run.clone());
        let (data, provenance) = self
            .0
            .parts
            .db
            .read(move |tx| {
                let data = everloop_tracking::get_many(tx, &project, std::slice::from_ref(&id))?;
                Ok::<_, Error>((data, everloop_tracking::provenance::get(tx, &project, &id)?))
            })
            .await?;
        let params = data.first().map(|run| json!(run.params)).unwrap_or_default();
        let provenance = provenance.map(|found| json!(found)).unwrap_or_default();
        let commit = provenance["code"]["commit"]
            .as_str()
            .unwrap_or("no commit known")
            .to_owned();
        chain.push(Link {
            kind: "run".to_owned(),
            name: run.to_string(),
            words: format!("trained by {}, code {commit}", version.source),
            facts: json!({ "params": params, "provenance": provenance }),
        });
        Ok(())
    }
}
