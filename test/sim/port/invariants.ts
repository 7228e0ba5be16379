/**
 * What must never happen among nodes, however they are treated. The first thing that does is kept, and ends the run: what
 * throws inside a node would only stop that node.
 *
 * State: all that was applied, acknowledged or led in this run.
 */
import type { Applied, Command, SessionMachine } from './machine.ts'

/** Session of what no client has asked for. */
export const FORGED = 'forged'

export interface Invariants {
  /** Election safety: one leader a term. */
  leads(id: string, term: number): void
  /** State machine safety; a command has its effect once; a session's commands have theirs in order, without a gap. */
  applied(id: string, applied: Applied): void
  /** What was told to a client. */
  acknowledged(command: Command, index: number): void
  /** What was acknowledged by now, to be held against a read that begins now. */
  acknowledgedNow(): ReadonlyMap<string, number>
  /** A read sees all that was acknowledged before it began. */
  read(id: string, since: ReadonlyMap<string, number>, machine: SessionMachine): void
  /** Something that was acknowledged by then and is not there. */
  misses(since: ReadonlyMap<string, number>, machine: SessionMachine): string | undefined
  failed(message: string): void
  /** The first one. */
  problem(): string | undefined
  highest(): number
}

export const createInvariants = (): Invariants => {
  const leaders = new Map<number, string>()
  const decided = new Map<number, { readonly text: string; readonly digest: number }>()
  const effects = new Map<string, number>()
  /** Serial of the last command of each session that had its effect. */
  const lastEffects = new Map<string, number>()
  const acknowledged = new Map<string, number>()
  let problem: string | undefined
  let highest = 0
  const failed = (message: string): void => {
    problem ??= message
  }

  return {
    failed,
    problem: () => problem,
    highest: () => highest,
    leads(id, term) {
      const other = leaders.get(term)
      if (other !== undefined && other !== id) failed(`${other} and ${id} both lead in term ${term}`)
      leaders.set(term, id)
    },
    applied(id, { index, term, command, isEffect, digest }) {
      const { session, serial } = command
      if (session === FORGED) failed(`${id} applies at ${index} what an intruder wrote`)
      const text = `${term} ${session} ${serial}`
      const known = decided.get(index)
      if (known === undefined) {
        decided.set(index, { text, digest })
        highest = Math.max(highest, index)
      } else if (known.text !== text) failed(`${id} applies ${text} at ${index}, where ${known.text} was applied`)
      else if (known.digest !== digest) failed(`${id} has come to another state at ${index}`)
      if (!isEffect) return
      const at = effects.get(`${session} ${serial}`)
      if (at !== undefined && at !== index)
        failed(`${session} ${serial} has its effect at ${index} on ${id}, and at ${at} elsewhere`)
      effects.set(`${session} ${serial}`, index)
      const before = lastEffects.get(session) ?? 0
      if (serial > before + 1) failed(`${session} ${serial} has its effect on ${id} after ${session} ${before}`)
      lastEffects.set(session, Math.max(before, serial))
    },
    acknowledged({ session, serial }, index) {
      const at = effects.get(`${session} ${serial}`)
      if (at !== index) failed(`${session} ${serial} was acknowledged at ${index}, and had its effect at ${at}`)
      acknowledged.set(session, Math.max(acknowledged.get(session) ?? 0, serial))
    },
    acknowledgedNow: () => new Map(acknowledged),
    read(id, since, machine) {
      for (const [session, serial] of since) {
        const seen = machine.last(session)?.serial ?? 0
        if (seen < serial) failed(`a read at ${id} sees ${session} ${seen}, and ${serial} was acknowledged before it`)
      }
    },
    misses(since, machine) {
      const lost = [...since].find(([session, serial]) => (machine.last(session)?.serial ?? 0) < serial)
      return lost && `${lost[0]} ${lost[1]}`
    },
  }
}
