/**
 * Topics as the debug endpoint shows them: those that were seen here, and first words that only neighbours take.
 *
 * Gossip tells which neighbours take the first word of a topic. Those may listen to it, or to another topic of the word, or
 * publish there; which of it holds, each neighbour tells of itself (neighbours.ts), and who did not is named as unknown. Of
 * agents that are no neighbours nothing is known. Read when somebody looks.
 */
import type { TopicFigures } from '../../../../protocols/events/api.ts'
import { compilePattern, firstWord, isOpen, type Matcher } from '../../../../protocols/events/topic.ts'
import type { Gossip } from '../../../../protocols/port.ts'
import type { TopicView } from '../debug-schemas.ts'
import type { Neighbours, TopicListening } from './neighbours.ts'

interface TopicViewsDeps {
  readonly events: { topics(): TopicFigures[] }
  readonly gossip: Pick<Gossip, 'topics' | 'subscribers'>
  readonly neighbours: Pick<Neighbours, 'reports'>
}

const GOSSIP_PREFIX = 'events/'
/** First word of what the mesh tells itself: who coordinates, and what the coordinator broadcasts. */
const OWN_WORD = 'coordination'

export const isOwnTopic = (topic: string): boolean => firstWord(topic) === OWN_WORD

/** What one neighbour listens to, by first word; under '' what is open. */
type Told = ReadonlyMap<string, readonly { readonly matches: Matcher; readonly count: number }[]>

const toldOf = (listens: readonly TopicListening[]): Told => {
  const told = new Map<string, { matches: Matcher; count: number }[]>()
  for (const { pattern, count } of listens) {
    const word = isOpen(pattern) ? '' : firstWord(pattern)
    try {
      const one = { matches: compilePattern(pattern), count }
      const known = told.get(word)
      if (known === undefined) told.set(word, [one])
      else known.push(one)
    } catch {
      // What it cannot listen to, it does not.
    }
  }
  return told
}

/** Subscriptions that hear the topic; of a whole word, that hear any of it. */
const countOf = (told: Told, topic: string, word: string): number => {
  const isWord = topic !== word && topic === `${word}.#`
  const candidates = [...(told.get(word) ?? []), ...(told.get('') ?? [])]
  return candidates.reduce((sum, { matches, count }) => sum + (isWord || matches(topic) ? count : 0), 0)
}

export const topicViews = ({ events, gossip, neighbours }: TopicViewsDeps): TopicView[] => {
  const told = new Map<string, Told>()
  for (const [peer, { listens }] of neighbours.reports()) if (listens !== undefined) told.set(peer, toldOf(listens))

  const heardBy = (topic: string): Pick<TopicView, 'peers' | 'listeners' | 'unknown'> => {
    const word = firstWord(topic)
    const peers = gossip.subscribers(GOSSIP_PREFIX + word)
    const listeners = [...told].flatMap(([id, patterns]) => {
      const count = countOf(patterns, topic, word)
      return count === 0 ? [] : [{ id, count }]
    })
    return { peers, listeners, unknown: peers.filter((peer) => !told.has(peer)) }
  }
  const view = (name: string, local: number): TopicView => ({
    name,
    local,
    ...heardBy(name),
    ...(isOwnTopic(name) && { own: true }),
  })

  const known = events.topics().map(({ topic, subscribers, published, received, rate }) => ({
    ...view(topic, subscribers),
    published,
    received,
    rate,
  }))
  const listed = new Set(known.map(({ name }) => name))
  const words = gossip.topics().filter((topic) => topic.startsWith(GOSSIP_PREFIX))
  const others = words.map((topic) => `${topic.slice(GOSSIP_PREFIX.length)}.#`).filter((name) => !listed.has(name))
  return [...known, ...others.map((name) => view(name, 0))]
}
