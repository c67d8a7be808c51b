import {
  COMPARISON_WORDS,
  familyOf,
  NEGATORS,
  RELATION_WORDS,
  TIME_WORDS,
  VAGUE_QUANTITIES,
  YES_NO,
} from "../edits/lexicon.ts";
import { numberOf } from "../edits/numbers.ts";

/**
 * What an English word mostly is in a description of a picture. A thing is whatever nothing else claims, so new nouns need no
 * entry here.
 */
export type WordClass =
  | "filler"
  | "link"
  | "relation"
  | "amount"
  | "attribute"
  | "action"
  | "comparison"
  | "time"
  | "thing";

const list = (words: string) => new Set(words.split(" "));

/** Words whose coming and going says nothing. */
const FILLERS = list(
  "a an the is are was were be been being am has have had do does did there that this these those which who " +
    "it its his her their he she they him them i you we of to very so just some other each own together can " +
    "could will would may might image picture",
);

/** Words that bring in one more thing. */
const LINKS = list(
  "and or with for while as plus including featuring containing holding wearing where but along both also",
);

const ATTRIBUTES = list(
  "open closed shut clean dirty dry wet covered male female young elderly modern ancient vintage antique " +
    "rustic colorful colourful multicolored plain striped spotted checkered plaid floral patterned bare busy " +
    "crowded quiet calm rough sharp blunt clear cloudy foggy stormy overcast snowy rainy windy dusty muddy " +
    "grassy sandy rocky leafy shiny matte glossy fluffy furry hairy bald ripe rotten fresh stale frozen melted " +
    "fried baked grilled roasted boiled steamed sliced chopped whole half broken cracked torn intact damaged " +
    "rusty painted unpainted carved decorated lit unlit dim vivid pale pastel neon solid transparent round " +
    "circular oval rectangular triangular square flat steep deep shallow low high vertical horizontal upright " +
    "left-handed right-handed happy sad angry smiling frowning surprised scared bored tired serious cheerful " +
    "friendly lonely single lone solo double giant miniature mini massive oversized fat slim skinny chubby " +
    "muscular blond blonde brunette redheaded bearded tattooed barefoot shirtless naked dressed uniformed " +
    "formal casual fancy simple elegant messy neat tidy cluttered organized spicy sweet salty sour bitter " +
    "creamy crispy juicy warm cool chilly icy hot-pink dark-haired tiled brick concrete marble granite paper " +
    "cardboard fabric leather wool silk cotton velvet rubber steel iron brass copper silver bronze chrome " +
    "ceramic porcelain wicker bamboo oak pine cement digital analog electric electronic manual homemade " +
    "professional amateur domestic wild stuffed toy fake real artificial natural tropical urban rural suburban " +
    "residential commercial industrial public private empty vacant abandoned lush barren withered blurry cute " +
    "beautiful pretty ugly nice strange unusual similar different identical matching various assorted mixed " +
    "asian american european japanese chinese italian mexican english french",
);

/** Verbs by their stems, and the forms that no rule makes. */
const VERBS = list(
  "stand sit lie lay lean rest sleep nap kneel squat crouch perch pose wait hang walk run jog jump leap hop " +
    "dance climb crawl skate skateboard ski snowboard surf swim dive fly glide soar float sail row ride drive " +
    "park stop travel move roll race chase follow lead pull push drag carry hold grab catch throw toss kick " +
    "hit swing serve pitch bat play practice compete watch look stare gaze face see view observe ignore point " +
    "wave smile laugh frown cry yell shout talk speak chat listen sing read write draw paint cut slice chop " +
    "cook bake fry grill stir pour mix prepare make build fix repair wash wipe brush comb eat drink feed chew " +
    "bite lick sniff taste graze drop fall rise lift raise lower put place set sort stack pile fill cover " +
    "surround top decorate attach tie wrap enter exit leave arrive approach cross pass board land take give " +
    "hand hug kiss pet touch scratch rub fight wrestle tackle block guard protect avoid attend celebrate show " +
    "display sell buy use operate work type text call hide seek peek emerge wear remove dress undress blow " +
    "spray splash drip shine reflect burn explode gather huddle crowd mingle roam wander stroll march parade " +
    "line contain stick shake tilt turn bend stretch reach try attempt get go come keep let help join share " +
    "pick plant dig cast fish hunt shoot hike camp curl gallop scatter bundle spread stroke steer lounge " +
    "recline buzz chirp bounce dribble sprint rush drift hover",
);
const VERB_FORMS = list(
  "stood sat lain laid lay lying slept ran swam flew flown rode ridden drove driven held caught threw thrown " +
    "hit swung saw seen spoke sang read wrote written drew drawn made built ate eaten drank fed fell fallen " +
    "rose put set wore worn took taken gave given left hung cut shot dug tied tying hidden hid went gone came " +
    "got gotten kept blew blown shook stuck bent led",
);

const CLASS_OF: ReadonlyMap<string, WordClass> = new Map([
  ...[...VERBS, ...VERB_FORMS].map((word) => [word, "action"] as const),
  ...[...ATTRIBUTES].map((word) => [word, "attribute"] as const),
  ...[...COMPARISON_WORDS].map((word) => [word, "comparison"] as const),
  ...[...TIME_WORDS].map((word) => [word, "time"] as const),
  ...[...VAGUE_QUANTITIES].map((word) => [word, "amount"] as const),
  ...[...RELATION_WORDS].map((word) => [word, "relation"] as const),
  ...[...YES_NO, ...NEGATORS].map((word) => [word, "filler"] as const),
  ...[...LINKS].map((word) => [word, "link"] as const),
  ...[...FILLERS].map((word) => [word, "filler"] as const),
  // "A desk without a lamp" relates the two.
  ...["without", "indoors", "outdoors"].map((word) => [word, "relation"] as const),
]);

/** The verb whose form a word may be: "riding", "parked", "sits". */
function isVerbForm(word: string): boolean {
  const stem = /^(.{2,}?)(?:ing|ed|es|s)$/.exec(word)?.[1];
  if (stem === undefined) return false;
  const undoubled = stem.at(-1) === stem.at(-2) ? stem.slice(0, -1) : stem;
  return VERBS.has(stem) || VERBS.has(`${stem}e`) || VERBS.has(undoubled);
}

/** The class of a lower-case word by itself. */
export function classOf(word: string): WordClass {
  const known = CLASS_OF.get(word);
  if (known) return known;
  if (numberOf(word) !== undefined) return "amount";
  if (word.endsWith("n't")) return "filler";
  const family = familyOf(word);
  if (family) return family.kind === "object" ? "thing" : family.kind;
  if (/-[a-z]+(?:ed|ing)$/.test(word)) return "attribute";
  if (isVerbForm(word) || (word.length > 5 && word.endsWith("ing"))) return "action";
  return "thing";
}
