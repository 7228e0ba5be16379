/**
 * Which numbers of a lane were processed: all up to one, and some above it. What duplicates are recognised by.
 *
 * A sender has at most a window of unacknowledged messages, so what is done above `upTo` stays few. Pure.
 */
/** Numbers above `upTo` that a lane takes: further ones wait at the sender. Several windows, since some may be in a pause. */
export const LANE_SPAN = 1_024

/** Outboxes of one sender whose replacement is remembered, newest first. */
export const MAX_REPLACED = 16

export interface AckRanges {
  upTo: number
  readonly done: Set<number>
}

export const newAckRanges = (): AckRanges => ({ upTo: 0, done: new Set() })

export const isDone = ({ upTo, done }: AckRanges, sequence: number): boolean => sequence <= upTo || done.has(sequence)

const settle = (position: AckRanges): void => {
  while (position.done.delete(position.upTo + 1)) position.upTo += 1
}

export const markDone = (position: AckRanges, sequence: number): void => {
  if (sequence <= position.upTo) return
  position.done.add(sequence)
  settle(position)
}

/** The sender has nothing below `base` any more. @returns how many of those were not done as far as this position knows */
export const raiseBase = (position: AckRanges, base: number): number => {
  const below = base - 1
  if (below <= position.upTo) return 0
  let unknown = below - position.upTo
  // By what is known, which is little, and not by how far the sender says that it is.
  for (const sequence of [...position.done])
    if (sequence <= below) {
      position.done.delete(sequence)
      unknown -= 1
    }
  position.upTo = below
  settle(position)
  return unknown
}

export const copyAckRanges = ({ upTo, done }: AckRanges): AckRanges => ({ upTo, done: new Set(done) })

/** As they travel. */
export const ackRangesOf = (
  wire: readonly { readonly lane: number; readonly upTo: number; readonly done: readonly number[] }[],
): Map<number, AckRanges> => new Map(wire.map(({ lane, upTo, done }) => [lane, { upTo, done: new Set(done) }]))
