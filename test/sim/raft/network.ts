/**
 * The simulated network of a group: delays, drops, doubles and reorders, and is cut between any two, one way or both.
 *
 * State: messages on their way, the cuts.
 */
export interface Faults {
  readonly dropRate: number
  readonly doubleRate: number
  readonly delayMs: readonly [least: number, most: number]
}

export interface Network<T> {
  faults: Faults
  send(from: string, to: string, what: T): void
  cut(from: string, to: string): void
  isCut(from: string, to: string): boolean
  heal(): void
  counts: { sent: number; dropped: number; doubled: number }
}

export const createNetwork = <T>(
  random: () => number,
  after: (delayMs: number, fn: () => void) => void,
  arrive: (from: string, to: string, what: T) => void,
  lost: (from: string, to: string, what: T) => void,
): Network<T> => {
  const cuts = new Set<string>()
  const drop = (from: string, to: string, what: T): void => {
    network.counts.dropped += 1
    lost(from, to, what)
  }
  const network: Network<T> = {
    faults: { dropRate: 0, doubleRate: 0, delayMs: [1, 5] },
    counts: { sent: 0, dropped: 0, doubled: 0 },
    send(from, to, what) {
      const { dropRate, doubleRate, delayMs } = network.faults
      network.counts.sent += 1
      const copies = random() < doubleRate ? 2 : 1
      network.counts.doubled += copies - 1
      for (let copy = 0; copy < copies; copy += 1) {
        if (random() < dropRate) {
          drop(from, to, what)
          continue
        }
        after(delayMs[0] + random() * (delayMs[1] - delayMs[0]), () => {
          // What is on its way when the line is cut is lost as well.
          if (cuts.has(`${from}>${to}`)) drop(from, to, what)
          else arrive(from, to, what)
        })
      }
    },
    cut: (from, to) => void cuts.add(`${from}>${to}`),
    isCut: (from, to) => cuts.has(`${from}>${to}`),
    heal: () => cuts.clear(),
  }
  return network
}
