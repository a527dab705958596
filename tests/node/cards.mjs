// Parses Adaptive Cards with Microsoft's own library. A JSON card a line in; a JSON line out: what the parser complained
// about as a host that knows Teams's CodeBlock and as one that does not, and the texts that a renderer would show.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const AC = require('adaptivecards/dist/adaptivecards.js');

class CodeBlock extends AC.CardElement {
  static codeSnippet = new AC.StringProperty(AC.Versions.v1_0, 'codeSnippet');
  static language = new AC.StringProperty(AC.Versions.v1_0, 'language');
  getSchemaKey() { return 'CodeBlock'; }
  populateSchema(schema) {
    super.populateSchema(schema);
    schema.add(CodeBlock.codeSnippet, CodeBlock.language);
  }
  getJsonTypeName() { return 'CodeBlock'; }
  internalRender() { return undefined; }
}

const teams = new AC.CardObjectRegistry();
AC.GlobalRegistry.populateWithDefaultElements(teams);
teams.register('CodeBlock', CodeBlock);

function parse(card, elements) {
  const context = new AC.SerializationContext();
  if (elements) context.setElementRegistry(elements);
  const parsed = new AC.AdaptiveCard();
  parsed.parse(card, context);
  const events = Array.from({ length: context.eventCount }, (_, at) => context.getEventAt(at).message);
  for (const failure of parsed.validateProperties().validationEvents) events.push(failure.message);
  return { events, parsed };
}

for await (const line of createInterface({ input: process.stdin })) {
  const card = JSON.parse(line);
  const known = parse(card, teams);
  const plain = parse(card, undefined);
  console.log(JSON.stringify({
    events: known.events,
    without: plain.events,
    items: known.parsed.getItemCount(),
    actions: known.parsed.getActionCount(),
    inputs: known.parsed.getAllInputs().map((input) => input.id),
  }));
}
