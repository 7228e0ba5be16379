/**
 * Watches the sequence numbers that one subscription hears: every event once, in order, and none lost without a word.
 *
 * Pure state, for each publisher: the next number, and the ranges that were reported as missed, from which an event may
 * still come late. Publishers and ranges are bounded; the ranges are more than the mesh itself remembers.
 */

interface Heard {
  next: number
  gaps: { from: number; to: number }[]
}

const MAX_GAPS = 64

export interface Sequences {
  /** What is wrong with this event, or nothing. */
  heard(publisher: string, sequence: number): string | undefined
  missed(publisher: string, from: number, to: number): void
  /** Events that were reported as missed and have not come since. */
  lost(): number
  late(): number
}

export const createSequences = (maxPublishers: number): Sequences => {
  const publishers = new Map<string, Heard>()
  let lost = 0
  let late = 0

  const behind = (state: Heard, sequence: number): string | undefined => {
    const gap = state.gaps.find(({ from, to }) => from <= sequence && sequence <= to)
    if (gap === undefined) return `number ${sequence} came again, or too late, after ${state.next - 1}`
    const rest = { from: sequence + 1, to: gap.to }
    gap.to = sequence - 1
    state.gaps = [...state.gaps, rest].filter(({ from, to }) => from <= to)
    lost -= 1
    late += 1
    return undefined
  }

  return {
    heard(publisher, sequence) {
      const state = publishers.get(publisher)
      if (state === undefined) {
        publishers.set(publisher, { next: sequence + 1, gaps: [] })
        const [oldest] = publishers.keys()
        if (publishers.size > maxPublishers && oldest !== undefined) publishers.delete(oldest)
        return undefined
      }
      // Moved to the end: the one heard longest ago is forgotten first.
      publishers.delete(publisher)
      publishers.set(publisher, state)
      if (sequence < state.next) return behind(state, sequence)
      const expected = state.next
      state.next = sequence + 1
      if (sequence === expected) return undefined
      return `numbers ${expected} to ${sequence - 1} were lost and not reported`
    },
    missed(publisher, from, to) {
      const state = publishers.get(publisher)
      if (state === undefined || to < state.next) return
      // What comes before `from` stays unexplained: the next event will show it.
      if (from > state.next) return
      state.gaps.push({ from: state.next, to })
      if (state.gaps.length > MAX_GAPS) state.gaps.shift()
      lost += to - state.next + 1
      state.next = to + 1
    },
    lost: () => lost,
    late: () => late,
  }
}
