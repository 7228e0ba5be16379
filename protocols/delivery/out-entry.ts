/** One message of the outbox, on its way to its peer. */
import type { ParleyError } from '../errors.ts'
import type { OutEntry } from './outgoing.ts'

export interface Out extends OutEntry {
  /** The message's bytes, where they are in memory. */
  body: Uint8Array | undefined
  /** Hears what became of it. */
  readonly told: ((error: ParleyError | undefined) => void) | undefined
  /** A recovery was tried. */
  isRecovered: boolean
}

export const newEntry = (
  about: Pick<Out, 'lane' | 'sequence' | 'size' | 'rank' | 'policy' | 'expiresAt' | 'isSkip' | 'told'>,
): Out => ({
  lane: about.lane,
  sequence: about.sequence,
  size: about.size,
  rank: about.rank,
  policy: about.policy,
  expiresAt: about.expiresAt,
  isSkip: about.isSkip,
  stage: 'queued',
  attempts: 0,
  dueAt: 0,
  fault: undefined,
  firstFailureAt: undefined,
  lastFailureAt: undefined,
  body: undefined,
  told: about.told,
  isRecovered: false,
})
