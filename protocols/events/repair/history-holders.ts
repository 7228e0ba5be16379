/**
 * Whom to ask for events of a series, and in which order: who gave some of it last and its publisher, those who said that
 * they hold some, those who hear the topic, then all other neighbours, who may have heard it once. Whoever is connected is
 * asked before anything is given up; only how many at a time is bounded, and where each list begins is left to chance, so
 * that many who miss the same do not all ask the same neighbour.
 *
 * State: who gave last and who holds something, of MAX_SERIES series.
 */
import type { Port } from '../../port.ts'
import { type EventSeries, seriesKey } from '../series.ts'

const MAX_SERIES = 1024
/** Of one series. */
const MAX_DECLARED = 16
/** In one round. */
export const MAX_HOLDERS = 64
/** The sizes of the groups that are asked together, one after another; the last one goes on. */
const GROUPS = [2, 4, 8] as const

interface Known {
  giver: string | undefined
  readonly declared: Set<string>
}

export interface HistoryHolders {
  /** This neighbour gave some of the series. */
  gave(series: EventSeries, peer: string): void
  /** This neighbour says that it holds some of the series. */
  holds(series: EventSeries, peer: string): void
  /** It gave some of the series last, or said that it holds some. */
  isLikely(series: EventSeries, peer: string): boolean
  /**
   * All that are connected and not in `unable`, in groups that are asked one after another. Where more are connected than
   * one round asks, those come first that were asked less often.
   * @param together those who are likely to have it are asked at once
   */
  groups(
    series: EventSeries,
    asked: ReadonlyMap<string, number>,
    unable: ReadonlySet<string>,
    together: boolean,
  ): readonly (readonly string[])[]
  /** Nobody is connected and able that was not asked. */
  allAsked(asked: ReadonlyMap<string, number>, unable: ReadonlySet<string>): boolean
}

export const createHistoryHolders = (
  port: Pick<Port, 'gossip' | 'members' | 'random'>,
  topicOf: (word: string) => string,
): HistoryHolders => {
  const known = new Map<string, Known>()

  const of = (series: EventSeries): Known => {
    const key = seriesKey(series)
    const found = known.get(key) ?? { giver: undefined, declared: new Set<string>() }
    known.delete(key)
    known.set(key, found)
    const [oldest] = known.keys()
    if (known.size > MAX_SERIES && oldest !== undefined) known.delete(oldest)
    return found
  }

  /** From a random one on. */
  const turned = (peers: readonly string[]): readonly string[] => {
    const start = Math.floor(((port.random(1)[0] ?? 0) / 256) * peers.length)
    return [...peers.slice(start), ...peers.slice(0, start)]
  }

  return {
    gave(series, peer) {
      of(series).giver = peer
    },
    holds(series, peer) {
      const { declared } = of(series)
      if (declared.size < MAX_DECLARED) declared.add(peer)
    },
    isLikely(series, peer) {
      const found = known.get(seriesKey(series))
      return found !== undefined && (found.giver === peer || found.declared.has(peer))
    },
    groups(series, asked, unable, together) {
      const able = new Set(port.members().flatMap(({ id }) => (unable.has(id) ? [] : [id])))
      const { giver, declared } = known.get(seriesKey(series)) ?? { giver: undefined, declared: [] }
      const likely = [...new Set([...(giver === undefined ? [] : [giver]), series.publisher])].filter((id) =>
        able.has(id),
      )
      const rest = new Set(
        [
          ...turned([...declared]),
          ...turned(port.gossip.subscribers(topicOf(series.word))),
          ...turned([...able]),
        ].filter((id) => able.has(id) && !likely.includes(id)),
      )
      const others = [...rest].toSorted((a, b) => (asked.get(a) ?? 0) - (asked.get(b) ?? 0)).slice(0, MAX_HOLDERS)
      const groups: string[][] = together ? [likely] : likely.map((id) => [id])
      for (let at = 0, n = 0; at < others.length; n += 1) {
        const size = GROUPS[Math.min(n, GROUPS.length - 1)] ?? 1
        groups.push(others.slice(at, at + size))
        at += size
      }
      return groups.filter((group) => group.length > 0)
    },
    allAsked: (asked, unable) => port.members().every(({ id }) => asked.has(id) || unable.has(id)),
  }
}
