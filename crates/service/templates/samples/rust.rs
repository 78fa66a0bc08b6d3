// {{ p.example.title }}
// Dependencies: ureq 3 with the feature "json"{% if p.example.body.is_some() %}, serde_json 1{% endif %}.
use std::env;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("DOCKET_URL").unwrap_or_else(|_| {{ p.url }}.into());
{%- for v in &p.example.variables %}
    let {{ v.snake }} = env::var("{{ v.environment }}").unwrap_or_else(|_| "{{ v.example }}".into());
{%- endfor %}

    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent
        .{{ p.call }}(format!("{url}{{ p.target }}"))
{%- for pair in &p.pairs %}
        .query({{ pair.0 }}, {{ pair.1 }})
{%- endfor -%}
    ;
    if let Ok(key) = env::var("DOCKET_KEY") {
        request = request.header("X-API-KEY", key);
    }
{%- if let Some(body) = &p.body %}
    let mut response = request.send_json(serde_json::json!({{ body }}))?;
{%- else %}
    let mut response = request.call()?;
{%- endif %}
{%- if p.example.streams %}
    std::io::copy(&mut response.body_mut().as_reader(), &mut std::io::stdout())?;
{%- else %}
    println!("{}", response.body_mut().read_to_string()?);
{%- endif %}
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    Ok(())
}
