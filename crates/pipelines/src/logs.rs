//! Output of stages: written to a bounded file while they run, kept as an object when they end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use everloop_core::{ByteSize, PipelineRunId, ProjectName, StageName};

use crate::{CHANNEL, Error, Pipelines, Result, StageState, rows};

/// The longest line that is kept whole.
const LONGEST_LINE: usize = 64 << 10;

/// The last bytes of a cut log that are kept all the same: that is where errors stand.
const TAIL: usize = 256 << 10;

/// Bytes of one [`LogChunk`] at most.
const CHUNK: u64 = 1 << 20;

/// How long a follower waits before it looks at a growing file again. A file tells nobody that it grew, and the worker
/// may be another process.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The log of one attempt while it runs. The file is made by the first byte.
pub(crate) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    limit: u64,
    written: u64,
    line: usize,
    /// What came after the limit: the last of it.
    tail: VecDeque<u8>,
    cut: u64,
}

impl LogFile {
    /// An empty log at `path`, replacing that of an earlier attempt.
    pub fn create(path: PathBuf, limit: ByteSize) -> std::io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            path,
            file: None,
            limit: limit.0,
            written: 0,
            line: 0,
            tail: VecDeque::new(),
            cut: 0,
        })
    }

    /// Takes output: as it is, but for the middle of endless lines and what is beyond the limit.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut kept = Vec::with_capacity(bytes.len());
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line);
            if part.len() <= room {
                kept.extend_from_slice(part);
            } else if self.line <= LONGEST_LINE {
                kept.extend_from_slice(&part[..room]);
                kept.extend_from_slice("[… rest of the line cut by Everloop]".as_bytes());
                if part.ends_with(b"\n") {
                    kept.push(b'\n');
                }
                self.line = LONGEST_LINE + 1;
            } else if part.ends_with(b"\n") {
                kept.push(b'\n');
            }
            self.line = if part.ends_with(b"\n") {
                0
            } else {
                self.line.saturating_add(part.len())
            };
        }
        self.keep(&kept)
    }

    fn keep(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let room = usize::try_from(self.limit - self.written).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.append(head)?;
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.cut += over as u64;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                none.insert(File::create(&self.path)?)
            }
        };
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Adds the end of what was cut; answers the file, or none when there was no output.
    pub fn finish(mut self) -> std::io::Result<Option<PathBuf>> {
        if self.cut > 0 {
            let mark = format!("\n[… {} bytes cut by Everloop …]\n", self.cut);
            self.append(mark.as_bytes())?;
        }
        let (head, rest) = self.tail.as_slices();
        let tail = [head, rest].concat();
        self.append(&tail)?;
        Ok(self.file.is_some().then_some(self.path))
    }
}

/// Where the log of a stage grows.
pub(crate) fn live_path(folder: &Path, run: &PipelineRunId, stage: &StageName) -> PathBuf {
    folder.join(run.as_str()).join(format!("{stage}.log"))
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogChunk {
    /// The bytes, as the stage wrote them.
    pub bytes: Vec<u8>,
    /// Where the next piece starts.
    pub next: u64,
    /// Whether nothing follows.
    pub is_complete: bool,
}

impl Pipelines {
    /// The log of a stage's last attempt from byte `offset` on, at most 1 MiB of it. While the stage runs on another
    /// machine there is nothing to see yet.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::NoSuchStage`], or when the log can't be read.
    pub async fn logs(
        &self,
        project: &ProjectName,
        run: &PipelineRunId,
        stage: &StageName,
        offset: u64,
    ) -> Result<LogChunk> {
        let (owned, id, name) = (project.clone(), run.clone(), stage.clone());
        let found = self
            .db
            .read(move |tx| {
                rows::find(tx, &owned, &id)?;
                match rows::stage(tx, &id, &name)? {
                    Some(found) => Ok(found),
                    None => Err(Error::NoSuchStage {
                        stage: name.clone(),
                        known: rows::stages(tx, &id)?
                            .into_iter()
                            .map(|stage| stage.shown.stage)
                            .collect(),
                    }),
                }
            })
            .await?
            .shown;
        if found.state != StageState::Running
            && let Some(log) = found.log
        {
            let end = found.log_size.min(offset.saturating_add(CHUNK));
            let bytes = match offset < end {
                true => self.objects.get_range(&log, offset..end).await?.to_vec(),
                false => Vec::new(),
            };
            return Ok(LogChunk {
                next: offset + bytes.len() as u64,
                is_complete: found.state.is_end() && end == found.log_size,
                bytes,
            });
        }
        let bytes = match found.state {
            StageState::Running => read_live(&live_path(&self.logs, run, stage), offset)?,
            _ => Vec::new(),
        };
        Ok(LogChunk {
            next: offset + bytes.len() as u64,
            is_complete: found.state.is_end(),
            bytes,
        })
    }

    /// The log of a stage from its start on, as it grows.
    #[must_use]
    pub fn follow(&self, project: &ProjectName, run: &PipelineRunId, stage: &StageName) -> LogTail {
        LogTail {
            pipelines: self.clone(),
            project: project.clone(),
            run: run.clone(),
            stage: stage.clone(),
            offset: 0,
            is_complete: false,
        }
    }
}

/// A log that is read as it grows.
pub struct LogTail {
    pipelines: Pipelines,
    project: ProjectName,
    run: PipelineRunId,
    stage: StageName,
    offset: u64,
    is_complete: bool,
}

impl LogTail {
    /// The next bytes; none when the stage has ended and all was read. A stage that is tried again goes on where its
    /// next attempt's log is as long as the last one's was.
    ///
    /// # Errors
    /// As [`Pipelines::logs`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut changes = self.pipelines.db.subscribe(CHANNEL);
        while !self.is_complete {
            let chunk = self
                .pipelines
                .logs(&self.project, &self.run, &self.stage, self.offset)
                .await?;
            self.offset = chunk.next;
            self.is_complete = chunk.is_complete;
            if !chunk.bytes.is_empty() {
                return Ok(Some(chunk.bytes));
            }
            if !self.is_complete {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        }
        Ok(None)
    }
}

fn read_live(path: &Path, offset: u64) -> Result<Vec<u8>> {
    let io = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        // No output yet, or the stage ended just now.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(limit: u64, parts: &[&[u8]]) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::create(folder.path().join("a/b.log"), ByteSize(limit)).unwrap();
        for part in parts {
            log.write(part).unwrap();
        }
        log.finish().unwrap().map(|path| std::fs::read(path).unwrap())
    }

    #[test]
    fn output_is_kept_as_it_is() {
        assert_eq!(
            written(1_000, &[b"\x1b[31mred", b"\x1b[0m\nnext"]).unwrap(),
            b"\x1b[31mred\x1b[0m\nnext"
        );
        assert_eq!(written(1_000, &[]), None);
    }

    #[test]
    fn an_endless_line_is_cut_once() {
        let long = vec![b'x'; LONGEST_LINE];
        let log = written(10 << 20, &[&long, &long, &long, b"x\nafter\n"]).unwrap();
        let text = String::from_utf8(log).unwrap();
        assert_eq!(text.matches("cut by Everloop").count(), 1);
        assert!(
            text.ends_with("cut by Everloop]\nafter\n"),
            "{}",
            &text[text.len() - 60..]
        );
        assert!(text.len() < LONGEST_LINE + 100);
    }

    #[test]
    fn a_long_log_keeps_its_start_and_its_end() {
        let lines: Vec<Vec<u8>> = (0..100_000).map(|n| format!("line {n}\n").into_bytes()).collect();
        let parts: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let text = String::from_utf8(written(10_000, &parts).unwrap()).unwrap();
        assert!(text.starts_with("line 0\nline 1\n"));
        assert!(text.ends_with("line 99998\nline 99999\n"));
        assert!(text.contains("bytes cut by Everloop"));
        assert!(text.len() < 10_100 + TAIL);
    }
}
