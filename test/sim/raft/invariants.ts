/**
 * What must never happen, however the group is treated (dissertation, figure 3.2): looked at after each step.
 *
 * State: everything that was ever written, committed, applied, acknowledged or answered in this run.
 */
import { type Configuration, decodeConfiguration, type Entry } from '../../../protocols/consensus/raft/raft-messages.ts'
import type { Command } from './machine.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
}

const keyOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const textOf = ({ voters, learners }: Configuration): string => `voters ${voters.join()} learners ${learners.join()}`

export interface Invariants {
  /** Election safety: at most one leader in a term. */
  leads(id: string, term: number, termAt: (index: number) => number | undefined, baseIndex: number): void
  /** Log matching: the same index and term, the same entry and the same history. */
  wrote(id: string, entries: readonly Entry[], termBefore: number | undefined): void
  /** State machine safety: nobody applies another entry at the same index. */
  committed(id: string, entry: Entry, inTerm: number): void
  /** Who votes, as of what is committed, is the same for all. */
  configured(id: string, commit: number, configuration: Configuration): void
  /** A session's command has its effect once, at one place. */
  effect(id: string, command: Command, index: number): void
  acknowledged(command: Command, index: number): void
  /** A read is answered from a state that holds all that was acknowledged before it began. */
  mayRead(since: number, index: number): void
  /** Highest index of an acknowledged command. */
  highestAcknowledged(): number
  /** Terms and commit indices of one life never go back. */
  moves(id: string, term: number, commit: number): void
  reborn(id: string): void
  acknowledgedCommands(): readonly Command[]
  highestCommitted(): number
}

export const createInvariants = (): Invariants => {
  const leaders = new Map<number, string>()
  const written = new Map<string, string>()
  /** `inTerm`: whoever leads later must have it, and who led before need not. */
  const decided: { term: number; data: string; inTerm: number }[] = []
  /** Configurations among them, ascending. */
  const configurations: { index: number; text: string }[] = []
  const effects = new Map<string, number>()
  const acknowledged: Command[] = []
  const lives = new Map<string, { term: number; commit: number }>()
  let highest = 0

  return {
    leads(id, term, termAt, baseIndex) {
      const other = leaders.get(term)
      if (other !== undefined && other !== id) throw new Violation(`${other} and ${id} both lead in term ${term}`)
      if (other === id) return
      leaders.set(term, id)
      for (let index = baseIndex + 1; index < decided.length; index += 1) {
        const entry = decided[index]
        if (entry !== undefined && entry.inTerm < term && termAt(index) !== entry.term)
          throw new Violation(`${id} leads in term ${term} without entry ${index}, which was committed`)
      }
    },
    wrote(id, entries, termBefore) {
      let before = termBefore
      for (const { index, term, kind, data } of entries) {
        const key = `${index} ${term}`
        const history = `${before} ${kind} ${keyOf(data)}`
        const known = written.get(key)
        if (known !== undefined && known !== history && before !== undefined)
          throw new Violation(`entry ${index} of term ${term} is one thing at ${id} and another elsewhere`)
        if (before !== undefined) written.set(key, history)
        before = term
      }
    },
    committed(id, { index, term, kind, data }, inTerm) {
      const entry = { term, data: keyOf(data), inTerm }
      const known = decided[index]
      if (known === undefined) {
        decided[index] = entry
        if (kind === 'configuration') configurations.push({ index, text: textOf(decodeConfiguration(data)) })
      } else if (known.term !== term || known.data !== entry.data)
        throw new Violation(`${id} commits another entry ${index}: term ${term}, and ${known.term} elsewhere`)
    },
    configured(id, commit, configuration) {
      const known = configurations.findLast(({ index }) => index <= commit)
      if (known !== undefined && known.text !== textOf(configuration))
        throw new Violation(`${id} counts ${textOf(configuration)} as of ${commit}, and ${known.text} was committed`)
    },
    effect(id, { session, serial }, index) {
      const key = `${session} ${serial}`
      const known = effects.get(key)
      if (known === undefined) effects.set(key, index)
      else if (known !== index)
        throw new Violation(`command ${key} has its effect at ${index} on ${id}, and at ${known} elsewhere`)
    },
    acknowledged(command, index) {
      acknowledged.push(command)
      highest = Math.max(highest, index)
    },
    mayRead(since, index) {
      if (index < since) throw new Violation(`a read was answered at ${index}, after ${since} was acknowledged`)
    },
    highestAcknowledged: () => highest,
    moves(id, term, commit) {
      const before = lives.get(id) ?? { term: 0, commit: 0 }
      if (term < before.term) throw new Violation(`${id} goes back from term ${before.term} to ${term}`)
      if (commit < before.commit) throw new Violation(`${id} goes back from commit ${before.commit} to ${commit}`)
      lives.set(id, { term, commit })
    },
    reborn(id) {
      const before = lives.get(id)
      // The term is on the disk; how much is committed is learned again.
      if (before !== undefined) lives.set(id, { term: before.term, commit: 0 })
    },
    acknowledgedCommands: () => acknowledged,
    highestCommitted: () => decided.length - 1,
  }
}
