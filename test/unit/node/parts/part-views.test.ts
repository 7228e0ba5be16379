/** What parts show: read from those that run, and cut to what can be shown. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../../../node/observe/metrics/metrics.ts'
import {
  createPartViews,
  exposeParts,
  MAX_CARDS,
  MAX_CHARS,
  MAX_COLUMNS,
  MAX_ROWS,
  metricName,
} from '../../../../node/parts/part-views.ts'
import type { PartFacts } from '../../../../node/parts/runner.ts'
import { definePart } from '../../../../protocols/define-part.ts'
import type { AnyPart, FigureValue, Loading, ViewData } from '../../../../protocols/part.ts'

const part = definePart({
  name: 'acme/shown',
  description: 'For a test.',
  figures: {
    seen_total: { kind: 'counter', help: 'Seen' },
    open: { kind: 'gauge', help: 'Open' },
    by_name: { kind: 'gauge', help: 'By name', label: 'name' },
  },
  views: {
    rows: { title: 'Rows', form: 'table' },
    times: { title: 'Times', form: 'timeline' },
    net: { title: 'Net', form: 'graph' },
    board: { title: 'Board', form: 'board', opens: 'one' },
    one: { title: 'One', form: 'timeline', of: 'order', opens: 'one' },
  },
  load: (): Loading<number> => Promise.reject(new Error('-')),
})
const own = { ...part, name: 'shown' }

const facts = (
  figures: Record<string, FigureValue> | undefined,
  views: Record<string, (id: string) => ViewData | Promise<ViewData>> = {},
  which: { name: string } = part,
): { facts(): PartFacts[] } => ({
  facts: () => [
    {
      part: which as unknown as AnyPart,
      state: figures === undefined ? 'idle' : 'running',
      problem: undefined,
      started: figures === undefined ? undefined : { api: 1, figures: () => figures as never, views },
    },
  ],
})

test('figures are metrics of the vendor, 0 until the part runs; those of the mesh itself have its prefix', async () => {
  assert.equal(metricName('acme-x/part-y', 'a_total'), 'acme_x_part_y_a_total')
  for (const [figures, expected] of [
    [undefined, ['0', '0']],
    [
      {
        seen_total: 3,
        open: 2,
        by_name: [
          ['a', 1],
          ['b', 2],
        ] as const,
      },
      ['3', '2'],
    ],
  ] as const) {
    const metrics = createMetrics('parley_')
    exposeParts(metrics, facts(figures))
    const text = await metrics.exposition()
    assert.match(text, new RegExp(`^acme_shown_seen_total ${expected[0]}$`, 'm'))
    assert.match(text, new RegExp(`^acme_shown_open ${expected[1]}$`, 'm'))
    assert.equal(/^acme_shown_by_name\{name="b"\} 2$/m.test(text), figures !== undefined)
  }
  const metrics = createMetrics('parley_')
  exposeParts(metrics, facts({ seen_total: 4 }, {}, own))
  assert.match(await metrics.exposition(), /^parley_shown_seen_total 4$/m)
})

test('a list of parts says how they are, with figures that are finite', () => {
  const [idle] = createPartViews(facts(undefined)).list()
  assert.equal(idle?.state, 'idle')
  assert.deepEqual(
    idle?.figures.map(({ value }) => value),
    [0, 0, 0],
  )
  const rows = Array.from({ length: 60 }, (_, i): [string, number] => [`n${i}`, 1])
  const [one] = createPartViews(facts({ seen_total: Number.NaN, open: 1, by_name: rows })).list()
  assert.deepEqual(
    one?.figures.map(({ value }) => value),
    [0, 1, 60],
  )
  assert.equal(one?.figures[2]?.rows?.length, 50)
})

test('a view is cut at its bounds, and says what is left', async () => {
  const long = 'x'.repeat(MAX_CHARS + 1)
  const views = createPartViews(
    facts(
      {},
      {
        rows: () => ({
          columns: Array.from({ length: MAX_COLUMNS + 1 }, () => 'c'),
          rows: Array.from({ length: MAX_ROWS + 2 }, () => Array.from({ length: MAX_COLUMNS + 1 }, () => long)),
        }),
        times: async () => ({
          entries: [
            { at: 1, text: long.slice(1) },
            { at: Number.NaN, text: long },
          ],
        }),
        net: () => ({
          nodes: Array.from({ length: MAX_ROWS + 1 }, (_, i) => ({ id: `${i}`, label: 'n' })),
          edges: [
            { from: '0', to: '1', label: 'e' },
            { from: '0', to: `${MAX_ROWS}` },
          ],
        }),
      },
    ),
  )
  const rows = await views.data('acme/shown', 'rows')
  assert.ok(rows?.form === 'table')
  assert.deepEqual(
    [rows.rows.length, rows.left, rows.columns.length, rows.rows[0]?.length],
    [MAX_ROWS, 2, MAX_COLUMNS, MAX_COLUMNS],
  )
  assert.equal(String(rows.rows[0]?.[0]).length, MAX_CHARS)
  const times = await views.data('acme/shown', 'times')
  assert.ok(times?.form === 'timeline')
  assert.deepEqual(
    times.entries.map(({ at, text }) => [at, text.length, text.endsWith('…')]),
    [
      [1, MAX_CHARS, false],
      [0, MAX_CHARS, true],
    ],
  )
  const net = await views.data('acme/shown', 'net')
  assert.ok(net?.form === 'graph')
  assert.deepEqual([net.nodes.length, net.left, net.edges.length], [MAX_ROWS, 1, 1])
  for (const [name, view] of [
    ['acme/shown', 'other'],
    ['acme/shown', 'toString'],
    ['acme/other', 'rows'],
  ] as const)
    assert.equal(await views.data(name, view), undefined)
})

test('a board is cut at its bounds in each column, and says how many there are', async () => {
  const cards = Array.from({ length: MAX_CARDS }, (_, i) => ({ id: `${i}`, title: 'a card', facts: ['new'], at: i }))
  const views = createPartViews(
    facts(
      {},
      {
        board: () => ({
          columns: [
            { title: 'All of it', all: 5_000, cards },
            { title: 'Half', cards: cards.slice(0, MAX_CARDS / 2) },
          ],
        }),
      },
    ),
  )
  const board = await views.data('acme/shown', 'board')
  assert.ok(board?.form === 'board')
  assert.deepEqual([board.left, board.opens], [5_000 - MAX_CARDS / 2, 'one'])
  assert.deepEqual(
    board.columns.map(({ title, all, cards: shown }) => [title, all, shown.length]),
    [
      ['All of it', 5_000, MAX_CARDS / 2],
      ['Half', MAX_CARDS / 2, MAX_CARDS / 2],
    ],
  )
  assert.deepEqual(board.columns[0]?.cards[1], { id: '1', title: 'a card', facts: ['new'], at: 1 })
})

test('a card is cut at its bounds', async () => {
  const long = 'x'.repeat(MAX_CHARS + 1)
  const card = { id: long, title: long, facts: Array.from({ length: 20 }, () => long), at: Number.NaN, peer: long }
  const board = () => ({ columns: Array.from({ length: 20 }, () => ({ title: long, cards: [card] })) })
  const data = await createPartViews(facts({}, { board })).data('acme/shown', 'board')
  assert.ok(data?.form === 'board')
  const [column] = data.columns
  const [shown] = column?.cards ?? []
  assert.deepEqual([data.columns.length, shown?.facts.length, shown?.at], [8, 8, 0])
  for (const text of [column?.title, shown?.id, shown?.title, shown?.peer, ...(shown?.facts ?? [])])
    assert.equal(text?.length, MAX_CHARS)
})

test('a view of one thing is read by its id, and needs one', async () => {
  const asked: string[] = []
  const views = createPartViews(
    facts(
      {},
      {
        one: (id) => {
          asked.push(id)
          return { entries: [{ at: 1, text: 'made', lane: 'First', peer: 'p', id: 'other' }] }
        },
      },
    ),
  )
  await assert.rejects(views.data('acme/shown', 'one'), /shows one order/)
  assert.deepEqual(await views.data('acme/shown', 'one', 'a/b&c'), {
    ...{ form: 'timeline', title: 'One', left: 0, opens: 'one' },
    entries: [{ at: 1, text: 'made', lane: 'First', peer: 'p', id: 'other' }],
  })
  assert.deepEqual(asked, ['a/b&c'])
  assert.deepEqual(
    views.list()[0]?.views.map(({ name, of }) => [name, of]),
    [
      ['rows', undefined],
      ['times', undefined],
      ['net', undefined],
      ['board', undefined],
      ['one', 'order'],
    ],
  )
})
