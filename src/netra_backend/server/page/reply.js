// The reply to an agent's question: what the fields of its form stand for, and how it is told.

/**
 * Return the payload that the `texts` in the fields of a form stand for: {payload}, or {problems}:
 * in words, by the name of the field.
 */
export function payloadOf({ kind, fields }, texts) {
  const problems = new Map();
  const values = [];
  fields.forEach((field, at) => {
    try {
      const value = valueOf(field, texts[at]);
      if (value !== undefined) values.push([field.name, value]);
    } catch (problem) {
      problems.set(field.name, problem.message);
    }
  });
  if (problems.size > 0) return { problems };
  return { payload: kind === "value" ? values[0][1] : Object.fromEntries(values) };
}

/** Return how an answer is told: "approved", "rejected", "answered" or "declined". */
export function verdictOf({ status, payload }) {
  if (status === "cancelled") return "declined";
  if (payload?.approved === true) return "approved";
  if (payload?.approved === false) return "rejected";
  return "answered";
}

/** Return the value that `text` in a field stands for; undefined to leave it out. Throws a problem. */
function valueOf(field, text) {
  const { kind, required, nullable } = field;
  const said = text.trim();
  const optional = !required || nullable;
  if (said === "" && optional) return required ? null : undefined;
  if (kind === "text") return textIn(field, text); // Its spaces are the person's own.
  if (kind === "number") return numberIn(field, said);
  if (kind === "choice") return choiceIn(field, said);
  if (said === "") throw new Error("This is needed.");
  try {
    return JSON.parse(said);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}

function textIn({ least }, text) {
  if (text.trim() === "") throw new Error("This is needed.");
  if ([...text].length < least) throw new Error(`This needs at least ${least} characters.`);
  return text;
}

function numberIn({ whole, minimum, maximum }, text) {
  if (text === "") throw new Error("This is needed.");
  const value = Number(text);
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) || !Number.isFinite(value)) {
    throw new Error("This is not a number.");
  }
  if (whole && !Number.isInteger(value)) throw new Error("This must be a whole number.");
  if (whole && !Number.isSafeInteger(value)) throw new Error("This has too many digits to be sent exactly.");
  if (value < minimum) throw new Error(`This must be at least ${minimum}.`);
  if (value > maximum) throw new Error(`This must be at most ${maximum}.`);
  return value;
}

function choiceIn({ options }, at) {
  if (at === "") throw new Error("Choose one.");
  return options[Number(at)].value;
}
