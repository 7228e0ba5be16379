/**
 * The life of a coordinator: from winning an election to having lost it.
 *
 * It acts only after an entry of its own term was committed and applied here (dissertation, section 6.4): until then it
 * does not know all that was decided. Its first decision writes the epoch into the journal's history. What runs for as long
 * as it acts gets a signal that ends with it. A coordinator that is cut off or frozen cannot know that it was replaced:
 * what it does then carries an old fence, and is refused.
 * State: the epoch in which this node acts, and what runs in it.
 */
import type { RaftStatus } from '../consensus/raft.ts'
import { encodeCommand } from '../journal/command.ts'
import { beginEpoch } from '../journal/kinds.ts'
import type { JournalSeat } from '../journal/serve.ts'
import type { Port } from '../port.ts'

export interface ActingFacts {
  readonly epoch: number
  /** Aborted when this node coordinates no more. */
  readonly signal: AbortSignal
}

export interface Leading {
  /** The seat's Raft moved on. */
  onStatus(seat: JournalSeat, status: RaftStatus): void
  /** The epoch in which this node acts now. */
  epoch(): number | undefined
  /** Runs for as long as this node acts, each time that it does. */
  act(fn: (facts: ActingFacts) => void | Promise<void>): () => void
  stop(): void
}

export const createLeading = (
  port: Pick<Port, 'self' | 'clock' | 'log'>,
  changed: (epoch: number | undefined) => void,
): Leading => {
  const fns = new Set<(facts: ActingFacts) => void | Promise<void>>()
  /** The term whose beginning was asked for. */
  let begun = 0
  let acting: { readonly epoch: number; readonly end: AbortController } | undefined

  const start = (fn: (facts: ActingFacts) => void | Promise<void>, facts: ActingFacts): void => {
    const failed = (error: unknown): void => {
      if (!facts.signal.aborted) port.log.error('what the coordinator does failed', { epoch: facts.epoch, error })
    }
    try {
      Promise.resolve(fn(facts)).catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  const end = (): void => {
    if (acting === undefined) return
    const { epoch, end: ended } = acting
    acting = undefined
    ended.abort(new Error(`epoch ${epoch} is over`))
    port.log.info('this node coordinates no more', { epoch })
    changed(undefined)
  }

  const begin = async ({ group }: JournalSeat, epoch: number): Promise<void> => {
    begun = epoch
    const input = { leader: port.self.id, name: port.self.name }
    const at = port.clock.now()
    const facts = { kind: beginEpoch.name, session: 0, serial: 0, acked: 0, at, by: port.self.id, input }
    try {
      await group.propose(encodeCommand(facts))
    } catch (error) {
      // It lost the lead before it began, or is overloaded: as long as it leads, it tries again.
      if (begun === epoch) begun = 0
      port.log.info('an epoch did not begin', { epoch, error })
      return
    }
    const now = group.status()
    if (now.role !== 'leader' || now.term !== epoch) return
    acting = { epoch, end: new AbortController() }
    port.log.info('this node coordinates', { epoch })
    changed(epoch)
    for (const fn of fns) start(fn, { epoch, signal: acting.end.signal })
  }

  return {
    onStatus(seat, { role, term, commitTerm }) {
      if (acting !== undefined && (role !== 'leader' || term !== acting.epoch)) end()
      if (role === 'leader' && commitTerm === term && begun !== term) void begin(seat, term)
    },
    epoch: () => acting?.epoch,
    act(fn) {
      fns.add(fn)
      if (acting !== undefined) start(fn, { epoch: acting.epoch, signal: acting.end.signal })
      return () => fns.delete(fn)
    },
    stop: end,
  }
}
