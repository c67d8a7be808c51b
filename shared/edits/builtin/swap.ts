import { kindsOf } from "../kinds.ts";
import { familyOf } from "../lexicon.ts";
import type { EditRequest } from "../types.ts";
import { keepCase, type Word } from "../words.ts";
import { isPlural } from "./nouns.ts";
import { clauseOf, deniesOrChooses, type Made, noTarget, patched, saysYesOrNo, uncertain } from "./text.ts";

/** Relations that cannot hold both ways between two things. */
const ONE_WAY =
  /^(?:(?:to the |on the )?(?:left|right)(?: side)? of|above|below|under|underneath|beneath|over|on top of|on|in front of|behind|inside|in|riding|carrying|pulling|pushing|feeding|wearing|eating|(?:big|small|larg|tall|short|long|high|low|wid|narrow|thick|thin|heavi|light|old|young|fast|slow|dark|bright)(?:g)?er than)\s+/i;

/** "on the left" relates nothing to a second thing. */
const PART_OF_SPACE = /\b(?:left|right|top|bottom|middle|cent(?:re|er)|side|corner|front|back)\b/i;

/** The two things that the answer relates, exchanged, where that surely makes it false. */
export function editRoles({ answer }: EditRequest): Made {
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  const amounts = /^(.*\b(?:more|fewer|less) )(.+?)( than )(.+?)([.!]?\s*)$/i.exec(answer);
  if (amounts) {
    const [, lead = "", first, than, second, end] = amounts;
    return [`${lead}${second}${than}${first}${end}`];
  }
  const { copula, definite } = clauseOf(answer);
  if (!copula) return noTarget("relation between two things");
  const claim = answer.slice(copula.end).trimStart();
  const relation = ONE_WAY.exec(claim);
  if (!relation) return noTarget("relation that holds one way only");
  const subject = answer.slice(0, copula.start).trim();
  const [, object = "", end = ""] = /^(.*?)([.!]?\s*)$/s.exec(claim.slice(relation[0].length)) ?? [];
  const plain = [subject, object].every(
    (part) => /^(?:the|this|that|his|her|its|their) /i.test(part) && !/[,;]|\b(?:and|that|which|with)\b/i.test(part),
  );
  if (!definite || !plain) return uncertain("it does not relate two known things");
  if (PART_OF_SPACE.test(object)) return noTarget("second thing");
  const lowered = subject.charAt(0).toLowerCase() + subject.slice(1);
  return [`${keepCase(subject, object)} ${agreeing(copula.text, object)} ${relation[0]}${lowered}${end}`];
}

function agreeing(copula: string, subject: string): string {
  const last = /(\p{L}+)$/u.exec(subject)?.[1]?.toLowerCase() ?? "";
  const plural = isPlural(last);
  if (copula === "is" || copula === "are") return plural ? "are" : "is";
  return plural ? "were" : "was";
}

/** The values that the answer gives two known things, exchanged: "The cup is red and the plate is blue." */
export function editAttributes({ answer }: EditRequest): Made {
  if (saysYesOrNo(answer)) return uncertain("a yes or no hangs on it");
  if (deniesOrChooses(answer)) return uncertain("the answer denies something or leaves a choice");
  const { words, definite } = clauseOf(answer);
  const values = words.flatMap((word, i) => (claimed(words, i) ? [word] : []));
  const [first, second] = values;
  if (!first || !second) {
    const known = words.filter(({ text }) => kindsOf(text).includes("attribute")).length;
    return known >= 2 ? uncertain("other things may have these attributes") : noTarget("two attributes");
  }
  const family = familyOf(first.text);
  if (values.length > 2 || !definite || first.text === second.text || family !== familyOf(second.text)) {
    return uncertain("the two values do not exclude each other");
  }
  return [
    patched(answer, [
      { start: first.start, end: first.end, text: second.text },
      { start: second.start, end: second.end, text: first.text },
    ]),
  ];
}

/** True for an attribute that is all that its clause says: "is red and", "are blue." */
function claimed(words: readonly Word[], at: number): boolean {
  const [before, word, after] = [words[at - 1], words[at], words[at + 1]];
  if (!word || !familyOf(word.text) || !/^(?:is|are|was|were)$/.test(before?.text ?? "")) return false;
  return after === undefined || /^(?:and|while|but|the)$/.test(after.text);
}
