/**
 * What is known of each topic by name: its figures, its definition, who listens to it here.
 *
 * Bounded: names such as `tasks.status.<id>` come and go, so beyond 1024 the first one is dropped that was not used
 * again since the last look (second chance, Corbató 1968). A topic dropped loses its figures, not its events.
 */
import type { EventDefinition } from '../define-event.ts'
import { checkTopic, firstWord } from '../topic.ts'

export const MAX_TOPICS = 1024

export interface TopicEntry<L> {
  readonly name: string
  readonly word: string
  readonly utf8: Uint8Array
  readonly definition: EventDefinition | undefined
  published: number
  received: number
  /** Used again since it was added or last looked at for dropping: a name used once goes before one in use. */
  touched: boolean
  /** Who listens here, as of `listenersAt`. */
  listeners: readonly L[]
  listenersAt: number
  /** Events until the last sample, for the rate. */
  sampled: number
  sampledAt: number
  rate: number
}

export interface TopicTable<L> {
  /** @throws MSG001 for a name that is not usable */
  get(name: string): TopicEntry<L>
  all(): TopicEntry<L>[]
}

export const createTopicTable = <L>(definitionOf: (topic: string) => EventDefinition | undefined): TopicTable<L> => {
  const topics = new Map<string, TopicEntry<L>>()

  const makeRoom = (): void => {
    for (const [name, topic] of topics) {
      topics.delete(name)
      if (!topic.touched) return
      topic.touched = false
      topics.set(name, topic)
    }
  }

  const add = (name: string): TopicEntry<L> => {
    checkTopic(name)
    if (topics.size >= MAX_TOPICS) makeRoom()
    const topic: TopicEntry<L> = {
      name,
      word: firstWord(name),
      // With bytes of its own: Node's pool would keep 64 KiB for each name.
      utf8: new TextEncoder().encode(name),
      definition: definitionOf(name),
      published: 0,
      received: 0,
      touched: false,
      listeners: [],
      listenersAt: -1,
      sampled: 0,
      sampledAt: 0,
      rate: 0,
    }
    topics.set(name, topic)
    return topic
  }

  return {
    get(name) {
      const topic = topics.get(name)
      if (topic === undefined) return add(name)
      topic.touched = true
      return topic
    },
    all: () => [...topics.values()],
  }
}
