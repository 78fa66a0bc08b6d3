//! The style and the scripts: own small files, at addresses that change with their content.

/// A file that pages load.
pub(super) struct Asset {
    /// Its path under `/docs/assets/`, with a mark of its content: it may be kept for ever.
    pub(super) path: String,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

/// What every page loads.
pub(super) struct Assets {
    pub(super) style: Asset,
    /// Chooses light or dark before anything is drawn.
    pub(super) theme: Asset,
    pub(super) script: Asset,
    pub(super) icon: Asset,
}

impl Assets {
    pub(super) fn new() -> Self {
        Self {
            style: asset("docs.css", "text/css; charset=utf-8", include_str!("../../../assets/docs/docs.css")),
            theme: asset("theme.js", "text/javascript; charset=utf-8", include_str!("../../../assets/docs/theme.js")),
            script: asset("docs.js", "text/javascript; charset=utf-8", include_str!("../../../assets/docs/docs.js")),
            icon: asset("icon.svg", "image/svg+xml", include_str!("../../../assets/docs/icon.svg")),
        }
    }

    pub(super) fn all(&self) -> [&Asset; 4] {
        [&self.style, &self.theme, &self.script, &self.icon]
    }
}

fn asset(name: &str, media_type: &'static str, text: &'static str) -> Asset {
    let mark = &blake3::hash(text.as_bytes()).to_hex()[..12];
    Asset { path: format!("/docs/assets/{mark}/{name}"), media_type, text }
}
