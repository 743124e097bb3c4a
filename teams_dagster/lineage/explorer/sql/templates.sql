select prompt_version, name, text
from prompt_templates
order by name, prompt_version;
