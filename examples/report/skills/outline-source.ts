/**
 * The declarations of source code: top level, and what a class or an interface of some languages offers. Pure.
 *
 * Lines of the code without comments and strings are matched, and of a line only its first 300 characters: linear, also
 * for a bundle of megabytes on one line. What is shown is what stands in the code, as in `export function walk`.
 */
import type { Language } from './language.ts'
import type { Item } from './outline-markup.ts'
import { takeApart } from './source.ts'

const MAX_DECLARATION = 300

interface Pattern {
  level: number
  match: RegExp
}

const top = (match: RegExp): Pattern => ({ level: 1, match })
const member = (match: RegExp): Pattern => ({ level: 2, match })

const SCRIPT = [
  top(
    /^(?:export )?(?:default )?(?:declare )?(?:abstract )?(?:async )?(?:function\*? ?|class |interface |type |enum |namespace |const enum |const |let |var )[\p{L}_$][\p{L}\p{N}_$]*/u,
  ),
  top(/^(?:module\.exports|exports\.\w{1,80})(?= =)/),
]

const CLASSES = [
  top(
    /^(?:(?:export|public|private|protected|internal|abstract|final|static|sealed|open|data|partial|case|actual|expect|inline|suspend|override)\s+)*(?:class|interface|enum class|enum|record|struct|object|trait|protocol|extension|namespace|actor|mixin|fun|func|def)\s+[\p{L}_][\w.]*/u,
  ),
  member(/^(?: {2,4}|\t)(?:public|protected|override)\s+[^=;(){}"]{1,120}(?=\()/),
]

const PATTERNS: Record<string, Pattern[]> = {
  TypeScript: SCRIPT,
  JavaScript: SCRIPT,
  Python: [
    top(/^(?:async )?(?:def|class) [\p{L}_]\w*/u),
    top(/^[A-Z][A-Z0-9_]{2,80}(?= ?[:=])/),
    member(/^(?: {4}|\t)(?:async )?def [\p{L}][\w]*/u),
  ],
  Go: [
    top(/^func (?:\([^()]{0,80}\) )?\w+/),
    top(/^type \w+(?:\[[^\]]{0,80}\])?(?: struct| interface)?/),
    top(/^(?:var|const) \w+/),
  ],
  Rust: [
    top(
      /^(?:pub(?:\([^()]{0,40}\))? )?(?:default )?(?:async |const |unsafe |extern "" ){0,4}(?:fn|struct|enum|trait|union|mod|type|static|const) \w+/,
    ),
    top(/^macro_rules! \w+/),
    top(/^(?:unsafe )?impl\b[^{]{0,120}/),
    member(/^ {4}pub (?:async |const |unsafe ){0,3}fn \w+/),
  ],
  Java: CLASSES,
  Kotlin: CLASSES,
  Scala: CLASSES,
  Swift: CLASSES,
  'C#': CLASSES,
  Dart: CLASSES,
  PHP: [
    top(/^(?:(?:abstract|final|readonly) ){0,3}(?:function|class|interface|trait|enum|namespace) [\w\\]+/),
    member(/^(?: {4}|\t)(?:(?:public|protected|static|abstract|final) ){1,4}function \w+/),
  ],
  Ruby: [top(/^(?:class|module|def) [\w:.?!]+/), member(/^ {2}(?:class|module|def) [\w:.?!]+/)],
  Shell: [top(/^(?:function )?[\w:.-]{1,80} ?\(\)/), top(/^function [\w:.-]{1,80}/)],
  SQL: [
    top(
      /^create (?:or replace )?(?:temp(?:orary)? )?(?:unique )?(?:table|view|materialized view|index|function|procedure|trigger|type|schema|sequence)(?: if not exists)? [\w.]{1,100}/i,
    ),
  ],
  'Protocol Buffers': [top(/^(?:message|enum|service) \w+/), member(/^\s{1,8}rpc \w+/)],
  GraphQL: [top(/^(?:type|interface|input|enum|union|scalar|query|mutation|subscription|fragment|schema)\b ?\w{0,80}/)],
  Lua: [top(/^(?:local )?function [\w.:]+/)],
  Elixir: [top(/^defmodule [\w.]+/), member(/^ {2}def [\w?!]+/)],
  R: [top(/^[\w.]{1,80}(?= ?(?:<-|=) ?function)/)],
  Makefile: [top(/^[\w./%-]{1,80}(?=\s?:(?!=))/)],
  Dockerfile: [top(/^FROM .{1,100}/i)],
  CSS: [top(/^[.#@:\w[][^{};]{0,100}(?=\{)/)],
  SCSS: [top(/^[.#@:%\w[][^{};]{0,100}(?=\{)/)],
  Clojure: [top(/^\((?:defn-?|defmacro|defprotocol|defrecord|def) [^\s()]{1,80}/)],
  Lisp: [top(/^\((?:defun|defmacro|defvar|defcustom|defclass) [^\s()]{1,80}/)],
}

const C_TYPES =
  /^(?:typedef )?(?:template ?<[^<>]{0,80}> ?)?(?:struct|class|enum(?: class)?|union|namespace) \w+(?!.*;\s*$)/
const C_MACRO = /^#\s{0,4}define \w+/
const C_WORDS = new Set(['if', 'for', 'while', 'switch', 'return', 'else', 'do', 'sizeof', 'case', 'catch', 'defined'])

/** A line at the margin with a name before its first bracket, and no statement: a function of C or C++. */
const cFunction = (line: string): string | undefined => {
  const bracket = line.indexOf('(')
  if (bracket < 0 || !/^[A-Za-z_]/.test(line) || line.trimEnd().endsWith(';')) return undefined
  const before = line.slice(0, bracket).trimEnd()
  const words = before.split(/[\s*&]+/)
  const isName = /^[\w:~]+$/.test(words.at(-1) ?? '')
  return words.length < 2 || !isName || C_WORDS.has(words[0] ?? '') || before.includes('=') ? undefined : before
}

const cDeclaration = (line: string): string | undefined =>
  C_MACRO.exec(line)?.[0] ?? C_TYPES.exec(line)?.[0] ?? cFunction(line)

/** The names of its tests are what a test file declares; what else it holds serves them. */
const TEST_CALL = /^\s{0,12}(?:test|it|describe)\(""/
const TEST_NAME = /^\s{0,12}(?:test|it|describe)\((['"`])(.{1,200}?)\1/

const declaration = (line: string, language: Language): { level: number; text: string } | undefined => {
  if (language.name === 'C' || language.name === 'C++') {
    const found = cDeclaration(line)
    return found === undefined ? undefined : { level: 1, text: found }
  }
  for (const { level, match } of PATTERNS[language.name] ?? []) {
    const found = match.exec(line)
    if (found !== null) return { level, text: found[0] }
  }
  return undefined
}

/** @param text with `\n` line ends; @param lines the same, split */
export const declarationsOf = (text: string, lines: string[], language: Language): Item[] => {
  const isScript = language.quotes === 'js'
  const tests: Item[] = []
  const declared = takeApart(text, language)
    .code.split('\n')
    .flatMap((code, at) => {
      const line = code.slice(0, MAX_DECLARATION)
      if (isScript && TEST_CALL.test(line)) {
        const name = TEST_NAME.exec((lines[at] ?? '').slice(0, MAX_DECLARATION))?.[2]
        if (name !== undefined) tests.push({ level: 1, text: name, line: at + 1 })
        return []
      }
      const found = line === '' ? undefined : declaration(line, language)
      return found === undefined
        ? []
        : [{ level: found.level, text: found.text.replace(/\s+/g, ' ').trim(), line: at + 1 }]
    })
  return tests.length > 0 ? tests : declared
}
