//! `standard`: the webhook's own body, to other places than the one of `sentimentNotifyWebhook`.

use super::request::Rendered;
use crate::alert::notice::Told;
use crate::alert::payload;
use crate::config::settings::WebhookDetail;

pub(super) fn render(told: &Told, detail: WebhookDetail) -> Rendered {
    Rendered::json(payload::body(&told.alert, detail, told.link.clone()))
}
