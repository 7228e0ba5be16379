/** Who listens to a topic, as the debug endpoint tells it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TopicSchema } from '../../../../../../node/observe/debug/debug-schemas.ts'
import type { TopicListening } from '../../../../../../node/observe/debug/sources/neighbours.ts'
import { isOwnTopic, topicViews } from '../../../../../../node/observe/debug/sources/topic-views.ts'

interface Given {
  /** Topics that were seen here. */
  readonly seen?: readonly string[]
  /** First words that neighbours take, as gossip tells. */
  readonly words?: Readonly<Record<string, readonly string[]>>
  /** What neighbours told; undefined: one of an older version. */
  readonly told?: Readonly<Record<string, Readonly<Record<string, number>> | undefined>>
}

const viewsOf = ({ seen = [], words = {}, told = {} }: Given) => {
  const listening = (patterns: Readonly<Record<string, number>>): TopicListening[] =>
    Object.entries(patterns).map(([pattern, count]) => ({ pattern, count }))
  const views = topicViews({
    events: {
      topics: () => seen.map((topic) => ({ topic, subscribers: 1, published: 2, received: 3, rate: 4, peers: 0 })),
    },
    gossip: {
      topics: () => ['directory', ...Object.keys(words).map((word) => `events/${word}`)],
      subscribers: (topic) => [...(words[topic.replace('events/', '')] ?? [])],
    },
    neighbours: {
      reports: () =>
        new Map(
          Object.entries(told).map(([peer, patterns]) => [
            peer,
            { peers: [], ageMs: 1, listens: patterns && listening(patterns) },
          ]),
        ),
    },
  })
  return new Map(views.map((view) => [view.name, TopicSchema.parse(view)]))
}

describe('who listens to a topic', () => {
  it('is whom it concerns as they told, not everybody who takes its first word', () => {
    const views = viewsOf({
      seen: ['tasks.status', 'tasks.done'],
      words: { tasks: ['bea', 'cleo', 'dan'] },
      told: { bea: { 'tasks.status': 2, '#': 1 }, cleo: { 'tasks.*': 1, 'weather.#': 9 }, dan: {} },
    })
    assert.deepEqual(views.get('tasks.status')?.listeners, [
      { id: 'bea', count: 3 },
      { id: 'cleo', count: 1 },
    ])
    assert.deepEqual(views.get('tasks.done')?.listeners, [
      { id: 'bea', count: 1 },
      { id: 'cleo', count: 1 },
    ])
    assert.deepEqual(views.get('tasks.done')?.peers, ['bea', 'cleo', 'dan'])
    assert.deepEqual([views.get('tasks.done')?.unknown, views.get('tasks.done')?.local], [[], 1])
  })

  it('is not known of a neighbour that did not tell, and that is said', () => {
    const views = viewsOf({
      seen: ['tasks'],
      words: { tasks: ['bea', 'old', 'new'] },
      told: { bea: { tasks: 1 }, old: undefined },
    })
    assert.deepEqual(views.get('tasks')?.listeners, [{ id: 'bea', count: 1 }])
    assert.deepEqual(views.get('tasks')?.unknown, ['old', 'new'])
  })

  it('is told of a whole word where only neighbours take it', () => {
    const views = viewsOf({
      words: { weather: ['bea', 'cleo'] },
      told: { bea: { 'weather.north': 1 }, cleo: { tasks: 1 } },
    })
    assert.deepEqual([...views.keys()], ['weather.#'])
    const weather = views.get('weather.#')
    assert.deepEqual(
      [weather?.listeners, weather?.unknown, weather?.local, weather?.published],
      [[{ id: 'bea', count: 1 }], [], 0, undefined],
    )
  })

  it('goes by patterns that can be used, and by no others', () => {
    const views = viewsOf({
      seen: ['tasks'],
      words: { tasks: ['bea'] },
      told: { bea: { 'tasks.#.x': 1, '': 1, ta: 1 } },
    })
    assert.deepEqual(views.get('tasks')?.listeners, [])
  })

  it("is apart from the mesh's own topics", () => {
    const views = viewsOf({ seen: ['tasks', 'coordination.epoch'], words: { coordination: [] } })
    assert.deepEqual(
      [...views.values()].map(({ name, own }) => [name, own]),
      [
        ['tasks', undefined],
        ['coordination.epoch', true],
        ['coordination.#', true],
      ],
    )
    assert.deepEqual(['coordination', 'coordinations.x', 'x.coordination'].map(isOwnTopic), [true, false, false])
  })
})
