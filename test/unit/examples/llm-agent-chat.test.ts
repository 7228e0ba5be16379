/** One round with a language model over real HTTP: what comes, what is tried again, and what is not. */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type ChatSettings, chatRound, type Round } from '../../../examples/llm-agent-chat.ts'
import { isParleyError, type ParleyError } from '../../../node/index.ts'
import {
  breaksAfter,
  type ChatEndpoint,
  calls,
  hangsAfter,
  refuses,
  type Step,
  says,
  sends,
  startChatEndpoint,
} from '../../support/chat-endpoint.ts'

const KEY = 'sk-never-shown'

interface Asking {
  steps: readonly Step[]
  apiKey?: string
  baseUrl?: string
  forMs?: number
  signal?: AbortSignal
  onWord?: (word: string) => void
}

interface Had {
  words: string[]
  round?: Round
  error?: unknown
  endpoint: ChatEndpoint
}

const ask = async (test: TestContext, asking: Asking): Promise<Had> => {
  const { steps, apiKey, baseUrl, forMs = 10_000, signal = new AbortController().signal, onWord } = asking
  const endpoint = await startChatEndpoint(test, steps)
  const settings: ChatSettings = { baseUrl: baseUrl ?? endpoint.baseUrl, apiKey, model: 'small' }
  const endsAt = performance.now() + forMs
  const had: Had = { words: [], endpoint }
  const round = chatRound(settings, [{ role: 'user', content: 'hello' }], [], {
    signal,
    remainingMs: () => endsAt - performance.now(),
  })
  try {
    for (;;) {
      const next = await round.next()
      if (next.done) return { ...had, round: next.value }
      had.words.push(next.value.text)
      onWord?.(next.value.text)
    }
  } catch (error) {
    return { ...had, error }
  }
}

const failure = ({ error }: Had): ParleyError => {
  assert.ok(isParleyError(error), String(error))
  return error
}

describe('a round with a language model', () => {
  test('words are given on as they come, and come back together', async (t) => {
    const { words, round, endpoint } = await ask(t, { steps: [says('Grüß ', 'Gott', '!')], apiKey: KEY })
    assert.deepEqual(words, ['Grüß ', 'Gott', '!'])
    assert.deepEqual(round, { text: 'Grüß Gott!', toolCalls: [] })
    const [{ path, authorization, body } = { path: '', authorization: '', body: {} }] = endpoint.asked
    assert.equal(path, '/v1/chat/completions')
    assert.equal(authorization, `Bearer ${KEY}`)
    assert.deepEqual(body, { model: 'small', messages: [{ role: 'user', content: 'hello' }], stream: true })
  })

  test('no key, no header', async (t) => {
    const { endpoint } = await ask(t, { steps: [says('x')] })
    assert.equal(endpoint.asked[0]?.authorization, undefined)
  })

  test('calls of tools are put together from their pieces', async (t) => {
    const wanted = [
      { name: 'a-b', arguments: '{"number":12345678901}' },
      { name: 'c-d', arguments: '{}' },
    ]
    const { round } = await ask(t, { steps: [calls(...wanted)] })
    assert.deepEqual(
      round?.toolCalls,
      wanted.map((call, index) => ({ id: `call_${index}`, ...call })),
    )
  })

  test('an overloaded endpoint is asked again when it says', async (t) => {
    const { words, endpoint } = await ask(t, { steps: [refuses(429, { 'retry-after': '0' }), says('now')] })
    assert.deepEqual(words, ['now'])
    assert.equal(endpoint.asked.length, 2)
  })

  test('Retry-After may be a date; one that is over means at once', async (t) => {
    const past = new Date(Date.now() - 60_000).toUTCString()
    const { words } = await ask(t, { steps: [refuses(503, { 'retry-after': past }), says('now')] })
    assert.deepEqual(words, ['now'])
  })

  test('a wait that is longer than the time left is not begun', async (t) => {
    const had = await ask(t, { steps: [refuses(429, { 'retry-after': '30' })], forMs: 5_000 })
    assert.equal(failure(had).code, 'COM003')
    assert.deepEqual(failure(had).details, { attempts: 1, retryAfterMs: 30_000 })
    assert.equal(had.endpoint.asked.length, 1)
  })

  test('after four attempts it is given up', async (t) => {
    const busy = refuses(429, { 'retry-after': '0' })
    const had = await ask(t, { steps: [busy, busy, busy, busy, says('too late')] })
    assert.equal(failure(had).code, 'COM003')
    assert.equal(failure(had).details.attempts, 4)
    assert.equal(had.endpoint.asked.length, 4)
  })

  test('a refusal is not tried again, and says what to check but never the key', async (t) => {
    const had = await ask(t, { steps: [refuses(401)], apiKey: KEY })
    assert.equal(failure(had).code, 'APP001')
    assert.match(failure(had).message, /answered 401/)
    assert.match(failure(had).hint ?? '', /OPENAI_API_KEY/)
    assert.ok(!JSON.stringify([failure(had), failure(had).message]).includes(KEY))
    assert.equal(had.endpoint.asked.length, 1)
  })

  test('an endpoint that repeats the key does not have it told on', async (t) => {
    const had = await ask(t, {
      steps: [refuses(403, {}, `the key ${KEY} is not known ${'x'.repeat(10_000)}`)],
      apiKey: KEY,
    })
    assert.match(failure(had).message, /answered 403: the key … is not known x+$/)
    assert.ok(failure(had).message.length < 400)
  })

  for (const [chars, is] of [
    [2 ** 20, 'is taken'],
    [2 ** 20 + 1, 'is too long'],
  ] as const) {
    test(`an answer of ${chars} characters ${is}`, async (t) => {
      const half = 'x'.repeat(chars / 2)
      const had = await ask(t, { steps: [says(half, half, ...(chars % 2 === 0 ? [] : ['x']))] })
      if (chars % 2 === 0) assert.equal(had.round?.text.length, chars)
      else assert.match(failure(had).message, /more than 1048576 characters/)
    })
  }

  test('a stream that breaks before its first word is asked for again', async (t) => {
    const { words } = await ask(t, { steps: [breaksAfter(), says('whole')] })
    assert.deepEqual(words, ['whole'])
  })

  test('a stream that breaks after some words fails: they would be said twice', async (t) => {
    const had = await ask(t, { steps: [breaksAfter('half'), says('half', 'whole')] })
    assert.deepEqual(had.words, ['half'])
    assert.equal(failure(had).code, 'COM002')
    assert.equal(had.endpoint.asked.length, 1)
  })

  test('a stream that ends without its last event is not taken for whole', async (t) => {
    const had = await ask(t, { steps: [sends('data: {"choices":[{"delta":{"content":"half"}}]}\n\n')] })
    assert.equal(failure(had).code, 'COM002')
    assert.match(failure(had).message, /ended in the middle/)
  })

  test('what is no chunk is told so', async (t) => {
    const html = Array.from({ length: 4 }, () => sends('data: <html>\n\n'))
    const had = await ask(t, { steps: html, forMs: 400 })
    assert.equal(failure(had).code, 'COM002')
    assert.match(failure(had).message, /no chunk of a chat completion/)
  })

  for (const [index, is] of [
    [15, 'is the last'],
    [16, 'is one too many'],
  ] as const) {
    test(`tool call number ${index} of one round ${is}`, async (t) => {
      const chunk = {
        choices: [{ delta: { tool_calls: [{ index, id: 'x', function: { name: 'a-b', arguments: '{}' } }] } }],
      }
      const had = await ask(t, { steps: [sends(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`)], forMs: 400 })
      if (index === 15) assert.equal(had.round?.toolCalls.length, 1)
      else assert.equal(failure(had).code, 'COM002')
    })
  }

  test('an endpoint that nobody listens at is told as unreachable', async (t) => {
    const had = await ask(t, { steps: [], baseUrl: 'http://127.0.0.1:1/v1', forMs: 400 })
    assert.equal(failure(had).code, 'COM002')
    assert.match(failure(had).hint ?? '', /OPENAI_BASE_URL/)
  })

  test('a model that falls silent is left when the time is over', async (t) => {
    const had = await ask(t, { steps: [hangsAfter('well')], forMs: 300 })
    assert.deepEqual(had.words, ['well'])
    assert.equal(failure(had).code, 'COM001')
    await had.endpoint.asked[0]?.left
  })

  test('who does not want the rest stops the model', async (t) => {
    const stop = new AbortController()
    const reason = new Error('seen enough')
    const had = await ask(t, { steps: [hangsAfter('well')], signal: stop.signal, onWord: () => stop.abort(reason) })
    assert.equal(had.error, reason)
    await had.endpoint.asked[0]?.left
  })
})
