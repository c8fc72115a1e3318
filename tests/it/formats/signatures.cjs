// The same as signatures.py, with Twilio's package for Node.
const fs = require('node:fs');
const { parse } = require('node:querystring');
const twilio = require('twilio/lib/webhooks/webhooks');

console.warn = () => {}; // Of a hash that it does not know.

function isGood(of, signature) {
  const algorithm = twilio.getSignatureAlgorithm(of.algorithm);
  if (twilio.validateRequest(of.key, signature, of.url, of.form, algorithm)) return true;
  const [bare, query] = of.url.split('?');
  return Boolean(query) && Object.keys(of.form).length === 0
    && twilio.validateRequest(of.key, signature, bare, { ...parse(query) }, algorithm);
}

const answers = JSON.parse(fs.readFileSync(process.argv[2], 'utf8')).map((of) => {
  const signature = twilio.getExpectedTwilioSignature(of.token, ...of.signed, of.hash);
  return { signature, good: isGood(of, signature) };
});
console.log(JSON.stringify(answers));
