/** A plain HTTP client for the tests of the debug endpoint: any Host header, event streams, and no connection reuse. */
import assert from 'node:assert/strict'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { DebugEvent, DebugSource, Readiness } from '../../../../../node/observe/debug/debug-schemas.ts'
import type { DeadLetterView, MessageSource } from '../../../../../node/observe/debug/message-schemas.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'

const DEADLINE_MS = 10_000

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
  json(): Record<string, unknown>
}

export interface Ask {
  method?: string
  headers?: Record<string, string>
  body?: string
}

const send = (url: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(DEADLINE_MS) }, resolve)
    sent.on('error', reject)
    sent.end(body)
  })

export const ask = async (url: string, options?: Ask): Promise<Answer> => {
  const response = await send(url, options)
  response.setEncoding('utf8')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode ?? 0, headers: response.headers, body, json: () => JSON.parse(body) }
}

export interface Message {
  id?: string
  event?: string
  data?: string
  retry?: string
  comment?: string
}

const parse = (block: string): Message => {
  const message: Record<string, string> = {}
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^([a-z]*): ?(.*)$/.exec(line) ?? []
    message[name === '' ? 'comment' : name] = value
  }
  return message
}

/** An open event stream. It only reads while next() is waited for. */
export const watch = async (url: string, lastEventId?: string) => {
  const response = await send(url, lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } })
  response.setEncoding('utf8')
  const chunks: AsyncIterator<string> = response[Symbol.asyncIterator]()
  let rest = ''
  const next = async (): Promise<Message | undefined> => {
    for (;;) {
      const end = rest.indexOf('\n\n')
      if (end >= 0) {
        const block = rest.slice(0, end)
        rest = rest.slice(end + 2)
        return parse(block)
      }
      const chunk = await chunks.next()
      if (chunk.done) return undefined
      rest += chunk.value
    }
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    /** The next block of the stream; undefined at its end. */
    next,
    /** The next `count` events, without comments and the opening. */
    async take(count: number): Promise<Message[]> {
      const events: Message[] = []
      while (events.length < count) {
        const message = await next()
        assert.ok(message, `the stream ended after ${events.length} of ${count} events`)
        if (message.event !== undefined) events.push(message)
      }
      return events
    },
    close: () => response.destroy(),
  }
}

/** Asks again until the answer is right. */
export const until = async (holds: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  const deadline = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const received = (number: number, topic = 'tasks.status'): DebugEvent => ({
  type: 'event-received',
  at: 1_700_000_000_000 + number,
  topic,
  bytes: number,
  source: 'peer-b',
})

const letter: DeadLetterView = {
  id: '0lc5xq0a0010',
  messageId: '018bcfe5-6800-7196-9a9a-8af7cee22013',
  type: 'order.placed',
  isCall: false,
  destination: 'peer-b',
  name: 'b',
  guarantee: 'EXACTLY_ONCE',
  conversationId: 'c1',
  code: 'APP001',
  reason: 'the handler failed',
  attempts: 4,
  firstFailureAt: 1_700_000_000_000,
  lastFailureAt: 1_700_000_007_000,
  bytes: 180,
}

/** Messages of data: one dead letter, one conversation, one entry of the inbox; what is changed is noted. */
const createMessages = (): MessageSource & { changes: string[] } => {
  const changes: string[] = []
  const find = (id: string): void => {
    if (id !== letter.id) throw new ParleyError('STA001', `there is no dead letter ${id}`, { hint: 'list them' })
  }
  return {
    changes,
    delivery: () => ({
      outbox: { messages: 3, bytes: 600, inFlight: 1 },
      received: { held: 1, bytes: 200, running: 1, senders: 2 },
      inbox: { messages: 1, bytes: 190, types: 'all' },
      deadLetters: { messages: 1, bytes: 180 },
      conversations: { count: 1, bytes: 300 },
      counts: { sent: 5 },
      destinations: [{ id: 'peer-b', name: 'b', state: 'up', breaker: 'closed', waiting: 2, inFlight: 1 }],
    }),
    deadLetters: async ({ type, code, text = '', after }) => {
      const isFound = [type ?? letter.type, code ?? letter.code].join() === [letter.type, letter.code].join()
      if (!isFound || after !== undefined || !letter.reason.includes(text)) return { letters: [] }
      return { letters: [letter], ...(text !== '' && { next: letter.id }) }
    },
    letterGroups: async (by) => ({
      by,
      groups: [{ key: letter[by], name: '', letters: 1, bytes: 180, reason: letter.reason, lastFailureAt: 1 }],
      others: 0,
    }),
    async deadLetter(id) {
      find(id)
      return { ...letter, sentAt: 1_700_000_000_000, headers: { tenant: 'x' }, data: { n: 'content' } }
    },
    async retry(id, to) {
      find(id)
      changes.push(`retry ${id} ${to ?? ''}`.trim())
    },
    async purge(id) {
      if (id !== undefined) find(id)
      changes.push(`purge ${id ?? 'all'}`)
      return 1
    },
    conversations: () => ({
      count: 1,
      conversations: [{ id: 'c1', messages: 1, forgotten: 0, peers: ['peer-b'], firstAt: 1, lastAt: 2 }],
    }),
    conversation: (id) => ({
      id,
      messages:
        id === 'c1'
          ? [
              {
                id: 'm1',
                direction: 'sent',
                type: 'order.placed',
                isCall: false,
                peer: 'peer-b',
                name: 'b',
                status: 'delivered',
                attempts: 1,
                at: 1,
                changedAt: 2,
                bytes: 7,
                isCut: false,
                data: { n: 'content' },
              },
            ]
          : [],
    }),
    inbox: async () => ({
      messages: 1,
      bytes: 190,
      entries: [
        {
          id: '0',
          messageId: 'm2',
          type: 'note',
          source: 'peer-b',
          name: 'b',
          guarantee: 'AT_LEAST_ONCE',
          sentAt: 1,
          receivedAt: 2,
          bytes: 190,
        },
      ],
    }),
  }
}

/** A mesh of data. */
export const createSource = () => {
  const listeners = new Set<(event: DebugEvent) => void>()
  const state: { readiness: Readiness } = { readiness: { ready: true, reasons: [] } }
  const messages = createMessages()
  const source: DebugSource = {
    self: () => ({
      id: 'peer-a',
      name: 'a',
      mesh: 'demo',
      incarnation: 7,
      version: '0.1.0',
      addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/peer-a'],
      startedAt: 1_700_000_000_000,
      trust: 'secret',
    }),
    coordinator: async () => ({
      meshId: '00112233445566778899aabbccddeeff',
      epoch: 3,
      leader: { id: 'peer-b', name: 'b' },
      seat: 'voter',
      acting: false,
      quorum: true,
      version: 41,
      seats: [
        { member: 'peer-a.00', peer: 'peer-a', name: 'a', role: 'voter' },
        { member: 'peer-b.01', peer: 'peer-b', name: 'b', role: 'voter', match: 41, silentMs: 12 },
      ],
      log: { commit: 41, applied: 41, last: 42, base: 0 },
      journal: { records: 2, bytes: 90, sessions: 1 },
      history: [{ epoch: 3, leader: 'peer-b', name: 'b', at: 1_700_000_000_000 }],
    }),
    peers: () => [
      {
        id: 'peer-b',
        name: 'b',
        direction: 'inbound',
        address: '/ip4/127.0.0.1/tcp/4002',
        connectedAt: 1_700_000_000_500,
        rttMs: 0.4,
        admitted: true,
        streams: 3,
        inFlight: 2,
        bytesQueued: 512,
      },
    ],
    agents: () => [
      {
        id: 'peer-b',
        name: 'b',
        state: 'alive',
        protocols: [
          { name: 'summarize', version: '1.0.0', methods: [{ name: 'once', kind: 'unary', capability: 'summarize' }] },
        ],
        labels: { zone: 'x' },
        addresses: ['/ip4/127.0.0.1/tcp/4002'],
        load: 0.5,
        queueLength: 1,
        lastHeardMs: 20,
      },
    ],
    agent: (id) => source.agents().find((agent) => agent.id === id),
    topics: () => [{ name: 'tasks', local: 1, peers: ['peer-b'] }],
    breakers: () => [{ id: 'p2', name: 'two', state: 'open' as const, failures: 0, retryAfterMs: 20_000 }],
    graph: () => ({
      nodes: [
        { id: 'peer-a', name: 'a', self: true },
        { id: 'peer-b', name: 'b', self: false },
      ],
      edges: [{ from: 'peer-a', to: 'peer-b' }],
    }),
    parts: {
      list: () => [
        {
          name: 'acme/tally',
          description: 'Counts.',
          state: 'running',
          protocols: ['/parley/acme-tally/1'],
          figures: [{ name: 'counted_total', help: 'Counted', value: 3 }],
          views: [{ name: 'counts', title: 'Counts', form: 'table' }],
        },
      ],
      data: async (part, view) =>
        part === 'acme/tally' && view === 'counts'
          ? { form: 'table', title: 'Counts', left: 0, columns: ['by', 'count'], rows: [['a', 3]] }
          : undefined,
    },
    readiness: () => state.readiness,
    messages,
    metrics: async () => '# TYPE up gauge\nup 1\n',
    onEvent(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
  }
  return {
    source,
    state,
    messages,
    listeners,
    emit(event: DebugEvent) {
      for (const listener of listeners) listener(event)
    },
  }
}
