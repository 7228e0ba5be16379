/** What only the coordinator of an epoch decides. Pure. */
import { ParleyError } from '../../errors.ts'
import { EpochSchema, epochKey } from '../state/built-in-kinds.ts'
import type { EntryFacts, JournalTx } from '../state/command-kind.ts'

/** @param what it alone does, for people @throws SEC002 for anybody else; STA002 for an epoch that is over */
export const requireCoordinator = (tx: JournalTx, { fence, by }: EntryFacts, epoch: number, what: string): void => {
  if (epoch !== fence.term)
    throw new ParleyError('STA002', `epoch ${epoch} is over`, {
      hint: 'another node coordinates now',
      details: { fence: { term: epoch, index: fence.index }, highest: fence },
    })
  const begun = EpochSchema.safeParse(tx.get(epochKey(epoch)))
  if (begun.data?.leader === by) return
  throw new ParleyError('SEC002', `${by} does not coordinate`, { hint: `only the coordinator ${what}` })
}
