/**
 * What callers of a group wait for: proposals by their place in the log, reads by the index that they may see.
 *
 * State: both, bounded; nothing is left waiting after `end`.
 */

import { waitFor } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { Entry } from '../raft/raft-messages.ts'

const MAX_PROPOSALS = 4_096
const MAX_READS = 4_096
/** The core is asked again for a read that got no answer, in ticks. */
const READ_AGAIN_TICKS = 10

export interface ProposalWaiter {
  resolve(value: unknown): void
  reject(error: unknown): void
}

interface Read {
  /** Ticks until the core is asked again. */
  left: number
  index: number | undefined
  resolve(index: number): void
  reject(error: unknown): void
}

export const unknownOutcome = (): ParleyError =>
  stateError('unknown', 'this node stopped before it was decided', 'ask again with the same session and serial')

const tooMany = (what: string): ParleyError =>
  new ParleyError('COM003', `too many ${what} wait for the coordinator group`, {
    hint: 'wait for those before, then try again',
  })

export const createPendingProposals = () => {
  const proposals = new Map<number, ProposalWaiter & { readonly term: number }>()
  const reads = new Map<number, Read>()
  let lastRead = 0

  return {
    /** @param waiting proposals that have no place yet; @returns why there is no room for another one */
    full: (waiting: number): ParleyError | undefined =>
      waiting + proposals.size >= MAX_PROPOSALS ? tooMany('proposals') : undefined,
    placed: (index: number, term: number, { resolve, reject }: ProposalWaiter): void =>
      void proposals.set(index, { term, resolve, reject }),
    /** What was decided at this place. */
    decided({ index, term }: Entry, value: unknown): void {
      const proposal = proposals.get(index)
      if (proposal === undefined) return
      proposals.delete(index)
      if (proposal.term === term) proposal.resolve(value)
      else proposal.reject(stateError('superseded', 'another leader decided otherwise', 'ask the present leader'))
    },
    /** Everything up to `index` was decided, and nobody here saw how. */
    skipped(index: number): void {
      for (const [at, { reject }] of proposals) {
        if (at > index) continue
        proposals.delete(at)
        reject(stateError('unknown', 'it was decided while this node was away', 'ask again with the same serial'))
      }
    },

    /** @param ask asks the core for it, under its number */
    read: (ask: (id: number) => void, signal: AbortSignal | undefined): Promise<number> =>
      waitFor(signal, (resolve, reject) => {
        if (reads.size >= MAX_READS) throw tooMany('reads')
        lastRead += 1
        const id = lastRead
        reads.set(id, { left: READ_AGAIN_TICKS, index: undefined, resolve, reject })
        ask(id)
        return () => reads.delete(id)
      }),
    /** `index` 0: nobody could say; it is asked again. */
    answered(id: number, index: number): void {
      const read = reads.get(id)
      if (read !== undefined && index > 0) read.index = index
    },
    /** Reads that may be answered from what is applied now. */
    applied(index: number): void {
      for (const [id, read] of reads) {
        if (read.index === undefined || read.index > index) continue
        reads.delete(id)
        read.resolve(read.index)
      }
    },
    /** A tick passed. @returns reads to ask for again */
    due: (): number[] =>
      [...reads].flatMap(([id, read]) => {
        if (read.index !== undefined) return []
        read.left -= 1
        if (read.left > 0) return []
        read.left = READ_AGAIN_TICKS
        return [id]
      }),

    end(error: () => unknown): void {
      for (const { reject } of [...proposals.values(), ...reads.values()]) reject(error())
      proposals.clear()
      reads.clear()
    },
  }
}
