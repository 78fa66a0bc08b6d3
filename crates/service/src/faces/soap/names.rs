//! Namespaces and media types, and what differs between the two versions of SOAP.

/// The namespace of the WSDL, its schema and every element in a body.
pub(super) const TARGET: &str = "urn:docket:jobs-management:v2";
/// Where the face is mounted (S).
pub(super) const PATH: &str = "/soap/v2";
/// The port type and the service.
pub(super) const PORT_TYPE: &str = "JobsManagement";

pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(super) const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
pub(super) const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// How a UsernameToken says that its password stands there as it is.
pub(super) const PASSWORD_TEXT: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";

/// A version of SOAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// SOAP 1.1, W3C Note of 8 May 2000.
    Soap11,
    /// SOAP 1.2, W3C Recommendation of 27 April 2007.
    Soap12,
}

impl Version {
    pub(super) const ALL: [Version; 2] = [Version::Soap11, Version::Soap12];

    /// The namespace of its envelope.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Version::Soap11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Version::Soap12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Version::Soap11 => "text/xml",
            Version::Soap12 => "application/soap+xml",
        }
    }

    /// The media type of an answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Version::Soap11 => "text/xml; charset=utf-8",
            Version::Soap12 => "application/soap+xml; charset=utf-8",
        }
    }

    /// Whether a header block with this actor or role is for this server.
    pub(super) fn is_for_us(self, role: &str) -> bool {
        match self {
            Version::Soap11 => ["", "http://schemas.xmlsoap.org/soap/actor/next"].contains(&role),
            Version::Soap12 => [
                "",
                "http://www.w3.org/2003/05/soap-envelope/role/next",
                "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
            ]
            .contains(&role),
        }
    }
}
