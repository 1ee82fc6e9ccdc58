//! The image of a container: looked at, and pulled where the pool says so.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptions;
use futures_util::{StreamExt, TryFutureExt};
use tokio::time::Instant;

use super::custody::Custody;
use super::engine::Engine;
use super::fault::{Fault, Stage};
use super::launch::Obstacle;
use super::plan::ImageFacts;
use super::registry::tagged;
use crate::manager::ports::DockerPlace;
use crate::model::attempt::Progress;
use crate::model::docker::PullPolicy;
use crate::model::report::Report;

/// Between two news of how far a pull is.
const NEWS: Duration = Duration::from_secs(1);
/// Layers whose progress is counted; images have 127 at most.
const MAX_LAYERS: usize = 1_000;

/// What is known of the image, pulled when it has to be.
///
/// # Errors
/// Why there is none.
pub async fn image(engine: &Engine, custody: &Custody, place: &DockerPlace) -> Result<ImageFacts, Obstacle> {
    let image = &place.settings.image;
    if place.settings.pull != PullPolicy::Always {
        match look(engine, image).await {
            Ok(facts) => return Ok(facts),
            Err(fault) if !fault.is_missing() => return Err(Obstacle::at(Stage::Create, image)(fault)),
            Err(_) if place.settings.pull == PullPolicy::Never => {
                return Err(Obstacle::never(format!(
                    "the engine has no image {image}, and the pool says pull: never: build or load it there, or write pull: missing"
                )));
            }
            Err(_) => {}
        }
    }
    pull(engine, custody, place).await?;
    look(engine, image).await.map_err(Obstacle::at(Stage::Create, image))
}

async fn look(engine: &Engine, image: &str) -> Result<ImageFacts, Fault> {
    Ok(engine.client()?.inspect_image(image).map_err(Fault::from).await?.into())
}

impl From<ImageInspect> for ImageFacts {
    fn from(found: ImageInspect) -> ImageFacts {
        ImageFacts { os: found.os.unwrap_or_else(|| "linux".to_owned()), architecture: found.architecture.unwrap_or_default() }
    }
}

async fn pull(engine: &Engine, custody: &Custody, place: &DockerPlace) -> Result<(), Obstacle> {
    let image = tagged(&place.settings.image);
    let options = CreateImageOptions { from_image: Some(image.clone()), ..Default::default() };
    // The engine says nothing until the registry does: how long that may take is the pull's own deadline.
    let patience = Duration::from_millis(place.settings.pull_deadline_ms).saturating_add(Duration::from_secs(60));
    let client = engine.client().map_err(Obstacle::Gone)?.with_timeout(patience);
    let mut stream = Box::pin(client.create_image(Some(options), None, engine.parts.registries.login(&image)));
    let mut layers = Layers::default();
    let tell = |layers: &Layers| engine.tell(Report::Launching { attempt: custody.attempt, progress: layers.progress(&image) });
    tell(&layers);
    let deadline = Instant::now() + Duration::from_millis(place.settings.pull_deadline_ms);
    let mut told = Instant::now();
    loop {
        let item = tokio::select! {
            item = stream.next() => item,
            () = custody.asked.notified() => return Err(Obstacle::never("its end was asked for while the image was pulled")),
            () = tokio::time::sleep_until(deadline) => {
                let limit = place.settings.pull_deadline_ms / 1000;
                let why = format!(
                    "the pull of {image} did not end within {limit} s (pull_deadline), and was at {}; pull it by hand, or allow more",
                    layers.progress(&image)
                );
                return Err(Obstacle::Refused { why, transient: true });
            }
        };
        match item {
            None => return Ok(()),
            Some(Err(error)) => return Err(Obstacle::at(Stage::Pull, &image)(error.into())),
            Some(Ok(info)) => {
                if let Some(message) = info.error_detail.as_ref().and_then(|detail| detail.message.clone()) {
                    return Err(Obstacle::at(Stage::Pull, &image)(Fault::Refused { status: 0, message }));
                }
                layers.take(info);
                if told.elapsed() >= NEWS {
                    told = Instant::now();
                    tell(&layers);
                }
            }
        }
    }
}

/// How far each layer is, in bytes.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    fn take(&mut self, info: CreateImageInfo) {
        let Some(id) = info.id.filter(|_| self.0.len() < MAX_LAYERS) else { return };
        let whole = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        let detail = info.progress_detail.unwrap_or_default();
        let (current, total) = (whole(detail.current), whole(detail.total));
        match info.status.as_deref() {
            Some("Downloading") if total > 0 => drop(self.0.insert(id, (current, total))),
            Some("Download complete" | "Pull complete" | "Extracting" | "Verifying Checksum") => {
                self.0.entry(id).and_modify(|(done, total)| *done = *total);
            }
            _ => {}
        }
    }

    fn progress(&self, image: &str) -> Progress {
        let (done, total) = self.0.values().fold((0, 0), |(done, total), layer| (done + layer.0, total + layer.1));
        let mega = |bytes: u64| bytes.div_ceil(1_000_000);
        if total == 0 {
            return Progress { done: 0, total: None, text: Some(format!("pulling {image}")) };
        }
        Progress { done: mega(done), total: Some(mega(total)), text: Some(format!("MB of {image} pulled")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn a_pull_is_as_far_as_its_layers_together() {
        let mut layers = Layers::default();
        let info = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail { current: Some(current), total: Some(total) }),
            error_detail: None,
        };
        assert_eq!(layers.progress("x:1").to_string(), "0 pulling x:1");
        for step in [
            info("latest", "Pulling from x", 0, 0),
            info("a", "Downloading", 1_000_000, 10_000_000),
            info("b", "Downloading", 4_000_000, 5_000_000),
            info("b", "Download complete", 0, 0),
            info("b", "Extracting", 1, 5_000_000),
        ] {
            layers.take(step);
        }
        assert_eq!(layers.progress("x:1").to_string(), "6/15 MB of x:1 pulled");
    }
}
