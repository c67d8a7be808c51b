import { eld } from "eld/extrasmall";

/** No language that can be told. */
export const UNKNOWN_LANGUAGE = "und";

/** ISO 639-1. A closed list: a region is opened for each language, so nobody may invent one. */
const CODES = new Set(
  (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu " +
    "fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km " +
    "kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om " +
    "or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr " +
    "ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
  ).split(" "),
);

/** Codes that clients still send, by the one that stands for them (CLDR's language aliases). */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ["in", "id"],
  ["iw", "he"],
  ["ji", "yi"],
  ["nb", "no"],
]);

/** Characters of a text that are looked at: the language shows in the first words, and the time taken grows with them. */
const DETECTED_CHARS = 64;

interface Worded {
  /** BCP 47, as the client sent it. */
  readonly tag?: string | undefined;
  readonly question: string;
  readonly response: string;
  readonly answer: string | null;
}

/**
 * The language of a region: an ISO 639-1 code, or `und`. A client's tag stands, by its primary subtag; one that is not in the list
 * is `und`. Without a tag the question tells, and where it is too short, the question with the right answer behind it (or the
 * response, where none is known). Detection is by n-grams (Efficient Language Detector), and what it calls unreliable is `und`.
 */
export function languageOf({ tag, question, response, answer }: Worded): string {
  if (tag !== undefined) return codeOf(tag);
  const asked = question.slice(0, DETECTED_CHARS);
  if (ENGLISH.test(asked)) return "en";
  return detected(asked) ?? detected(`${asked} ${answer ?? response}`.slice(0, DETECTED_CHARS)) ?? UNKNOWN_LANGUAGE;
}

/** A language tag's primary subtag, if it is a language of the list. */
function codeOf(tag: string): string {
  const primary = tag.split(/[-_]/, 1)[0]?.toLowerCase() ?? "";
  const code = ALIASES.get(primary) ?? primary;
  return CODES.has(code) ? code : UNKNOWN_LANGUAGE;
}

/** How English questions begin, and what then follows in no other language. Spares most questions the search. */
const ENGLISH =
  /^[\s"'(]*(?:(?:what|how|which|where|who|why|does|describe)\b.*?\b(?:the|is|are|this|there)\b|(?:is|are|was|were|do|can) (?:the|this|that|there|these|those|any|you)\b)/is;

function detected(text: string): string | undefined {
  const found = eld.detect(text);
  return found.isReliable() && CODES.has(found.language) ? found.language : undefined;
}
