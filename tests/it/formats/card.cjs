// Reads an Adaptive Card from the file that is named, with the reader of those who make the format, and prints what it finds
// wrong: nothing where all is well.
const fs = require('node:fs');
const ac = require('adaptivecards/dist/adaptivecards.js');

const message = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const wrong = [];
if (message.type !== 'message') wrong.push(`type is ${message.type}`);
for (const attachment of message.attachments) {
  if (attachment.contentType !== 'application/vnd.microsoft.card.adaptive') wrong.push(attachment.contentType);
  const card = new ac.AdaptiveCard();
  const context = new ac.SerializationContext();
  context.setElementRegistry(ac.GlobalRegistry.elements);
  card.parse(attachment.content, context);
  for (let i = 0; i < context.eventCount; i++) wrong.push(context.getEventAt(i).message);
  for (const found of card.validateProperties().validationEvents) wrong.push(found.message);
  if (card.getItemCount() !== attachment.content.body.length) {
    wrong.push(`${card.getItemCount()} of ${attachment.content.body.length} elements were read`);
  }
  if (card.getActionCount() !== (attachment.content.actions ?? []).length) wrong.push('not all actions were read');
}
for (const one of wrong) console.log(one);
