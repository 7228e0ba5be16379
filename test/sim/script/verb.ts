/** What a verb of a script is made of, and how its words are read. Pure. */
import type { Actor } from './actor.ts'
import { actorOf, ScriptError, type Stage } from './stage.ts'

export interface Verb {
  /** Shown where it is used wrongly. */
  readonly usage: string
  /**
   * @returns lines for the audience, beside what changes
   * @throws ScriptError
   */
  run(stage: Stage, words: readonly string[]): string[]
}

/** The usage of the verb is added by whoever ran it. */
export class UsageOfVerb extends Error {}

export const need = (word: string | undefined): string => {
  if (word === undefined) throw new UsageOfVerb('a word is missing')
  return word
}

export const none = (words: readonly string[]): void => {
  if (words.length > 0) throw new UsageOfVerb(`what is ${JSON.stringify(words.join(' '))} for?`)
}

export const count = (word: string | undefined, least = 1): number => {
  const value = Number(need(word))
  if (!Number.isInteger(value) || value < least || value > 1_000)
    throw new UsageOfVerb(`${word} is not a number from ${least} to 1000`)
  return value
}

export const oneActor = (stage: Stage, word: string | undefined): Actor => actorOf(stage, need(word))

/** A name, several with commas between them, or `all`. */
export const actors = (stage: Stage, word: string | undefined): Actor[] =>
  need(word) === 'all'
    ? [...stage.actors.values()]
    : need(word)
        .split(',')
        .map((id) => actorOf(stage, id))

/** Messages by who sends them, who gets them and what they are: each word narrows it. */
export const packets = (stage: Stage, words: readonly string[]) => {
  const names = words.filter((word) => stage.actors.has(word))
  const types = words.filter((word) => !stage.actors.has(word))
  const known = ['vote', 'voted', 'append', 'appended', 'snapshot', 'timeout-now', 'read', 'read-at']
  const [from, to, ...more] = names
  none(more)
  for (const type of types) if (!known.includes(type)) throw new ScriptError(`there is no ${type}`)
  return (packet: { readonly from: string; readonly to: string; readonly message: { readonly type: string } }) =>
    (from === undefined || packet.from === from) &&
    (to === undefined || packet.to === to) &&
    (types.length === 0 || types.includes(packet.message.type))
}
