/** Which topics are alive: events, bytes and publishers of each. State: figures of at most MAX_TOPICS topics. */
import { table } from '../../output/table.ts'

export const MAX_TOPICS = 10_000
const MAX_PUBLISHERS = 1_000
const OTHERS = '(others)'

export interface TopicRow {
  readonly topic: string
  readonly events: number
  /** Of the data, as JSON. */
  readonly bytes: number
  readonly publishers: number
  readonly perSecond: number
}

export interface TopicReport {
  add(event: { topic: string; data: unknown; source: string }): void
  /** The busiest first. */
  rows(): TopicRow[]
  text(): string
  /** The text over the one that was there before. */
  redrawn(): string
}

export const createTopicReport = (now: () => number = () => performance.now()): TopicReport => {
  const topics = new Map<string, { events: number; bytes: number; publishers: Set<string> }>()
  const startedAt = now()
  let drawn = 0

  const rows = (): TopicRow[] => {
    const seconds = Math.max(1, (now() - startedAt) / 1000)
    return [...topics]
      .map(([topic, { events, bytes, publishers }]) => ({
        topic,
        events,
        bytes,
        publishers: publishers.size,
        perSecond: Math.round((events / seconds) * 10) / 10,
      }))
      .sort((a, b) => b.events - a.events || a.topic.localeCompare(b.topic))
  }

  const text = (most = Number.POSITIVE_INFINITY): string => {
    const all = rows()
    if (all.length === 0) return 'no event yet'
    const shown = all
      .slice(0, most)
      .map((row) => [row.topic, row.events, row.perSecond, row.bytes, row.publishers].map(String))
    const more = all.length > shown.length ? `\nand ${all.length - shown.length} topics more` : ''
    return table(['topic', 'events', 'a second', 'bytes', 'publishers'], shown) + more
  }

  return {
    add({ topic, data, source }) {
      const key = topics.has(topic) || topics.size < MAX_TOPICS ? topic : OTHERS
      const found = topics.get(key) ?? { events: 0, bytes: 0, publishers: new Set() }
      found.events += 1
      found.bytes += Buffer.byteLength(JSON.stringify(data ?? null))
      if (found.publishers.size < MAX_PUBLISHERS) found.publishers.add(source)
      topics.set(key, found)
    },
    rows,
    text: () => text(),
    redrawn() {
      // Room for the head, the lines between rows, and the prompt.
      const fits = Math.max(1, Math.floor(((process.stdout.rows || 24) - 5) / 2))
      const shown = `${text(fits)}\n`
      const up = drawn === 0 ? '' : `\u001b[${drawn}A\u001b[J`
      drawn = shown.split('\n').length - 1
      return up + shown
    },
  }
}
