/**
 * Scripts: what happens to a group of members, one verb a line, and beneath each line, two spaces in, what came of it.
 *
 * A line that begins with `#` explains; it is kept as it is. The same script gives the same lines each time: nothing in it
 * is random. Rewriting replaces what came of it, and nothing else.
 */
import { changes, createStage, ScriptError, type Stage, viewsOf } from './stage.ts'
import { UsageOfVerb, type Verb } from './verb.ts'
import { FATE } from './verbs-of-fate.ts'
import { DEEDS } from './verbs-of-members.ts'
import { SIGHT } from './verbs-of-sight.ts'

export const VERBS: Readonly<Record<string, Verb>> = { ...FATE, ...DEEDS, ...SIGHT }

/** A script cites the rule that it shows. */
const SOURCE = /^# (Dissertation|Paper), (section|sections|figure) \d/m
const INDENT = '  '

export interface Told {
  /** The script with what really comes of it. */
  readonly text: string
  /** Where it is not as it says: the first line. */
  readonly difference: { readonly line: number; readonly expected: string; readonly found: string } | undefined
}

const perform = (stage: Stage, line: string): string[] => {
  const [name = '', ...words] = line.split(/\s+/)
  const verb = VERBS[name]
  if (verb === undefined) throw new ScriptError(`${name} is no verb; there are ${Object.keys(VERBS).join(', ')}`)
  const before = viewsOf(stage)
  try {
    return [...verb.run(stage, words), ...changes(before, viewsOf(stage))]
  } catch (error) {
    if (error instanceof UsageOfVerb) throw new ScriptError(`${error.message}\nusage: ${verb.usage}`)
    throw error
  }
}

const differenceOf = (text: string, found: string): Told['difference'] => {
  const [expected, real] = [text.split('\n'), found.split('\n')]
  const at = real.findIndex((line, i) => line !== expected[i])
  const line = at >= 0 ? at : real.length
  return { line: line + 1, expected: expected[line] ?? '(nothing)', found: real[line] ?? '(nothing)' }
}

/** @throws ScriptError with the line, for what cannot be done and for expectations that do not hold */
export const tell = (text: string): Told => {
  if (!SOURCE.test(text)) throw new ScriptError('line 1: a script cites its source: "# Dissertation, section 3.6.2"')
  const stage = createStage()
  const out: string[] = []
  for (const [i, line] of text.split('\n').entries()) {
    if (line.startsWith(INDENT)) continue
    out.push(line)
    if (line === '' || line.startsWith('#')) continue
    try {
      out.push(...perform(stage, line).map((said) => `${INDENT}${said}`))
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      throw new ScriptError(`line ${i + 1}: ${line}: ${message}`, { cause: error })
    }
  }
  const found = out.join('\n')
  return { text: found, difference: found === text ? undefined : differenceOf(text, found) }
}
