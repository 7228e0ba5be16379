/**
 * Interceptors: a library that answers who has a token, within a budget, and writes down who asked; and a reader that sends
 * the token with each call and keeps answers.
 */
import assert from 'node:assert/strict'
import { z } from 'zod'
import {
  createMesh,
  defineInterceptor,
  defineProtocol,
  isCallOf,
  isParleyError,
  makeSecret,
  ParleyError,
} from '../node/index.ts'

const library = defineProtocol({
  name: 'library',
  version: '1.0.0',
  methods: {
    find: { request: z.object({ title: z.string() }), response: z.object({ shelf: z.int() }), idempotent: true },
  },
})

// ── Of who answers ────────────────────────────────────────────────────────────────────────────────────────────────

const authentication = defineInterceptor({
  name: 'authentication',
  serve(call, next) {
    if (call.headers.token !== 'of-a-reader')
      throw new ParleyError('SEC001', 'this library needs a token', { hint: 'send it in the header token' })
    return next()
  },
})

class Budget {
  readonly name = 'budget'
  readonly #most: number
  readonly #used = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  serve(call: { peer: string }, next: () => Promise<unknown>) {
    const used = (this.#used.get(call.peer) ?? 0) + 1
    this.#used.set(call.peer, used)
    if (used > this.#most) throw new ParleyError('SEC002', `a reader may ask ${this.#most} times`)
    return next()
  }
}

const lines: string[] = []
const audit = defineInterceptor({
  name: 'audit',
  before: ['authentication'],
  async serve(call, next) {
    try {
      const answer = await next()
      lines.push(`${call.method} ok`)
      return answer
    } catch (error) {
      lines.push(`${call.method} ${isParleyError(error) ? error.code : 'failed'}`)
      throw error
    }
  },
})

// ── Of who asks ───────────────────────────────────────────────────────────────────────────────────────────────────

const MAX_KNOWN = 100
const known = new Map<string, unknown>()
const cache = defineInterceptor({
  name: 'cache',
  async call(call, next) {
    if (!isCallOf(call, library, 'find')) return next()
    const { title } = call.request
    const answer = known.get(title) ?? (await next())
    if (known.size < MAX_KNOWN) known.set(title, answer)
    return answer
  },
})

const token = defineInterceptor({
  name: 'token',
  call: (call, next) => next({ headers: { ...call.headers, token: 'of-a-reader' } }),
})

// ── The mesh ──────────────────────────────────────────────────────────────────────────────────────────────────────

const secret = makeSecret()
const owner = await createMesh({ name: 'owner', secret, interceptors: [authentication, new Budget(2), audit] })
await owner.serve(library, { find: ({ title }) => ({ shelf: title.length }) })
const join = owner.self.addresses
const reader = await createMesh({ name: 'reader', secret, join, interceptors: [cache, token] })
const stranger = await createMesh({ name: 'stranger', secret, join })
await Promise.all([reader.joined(), stranger.joined()])

const { find } = reader.to(owner.self.id, library)
const answers = [await find({ title: 'Emma' }), await find({ title: 'Emma' }), await find({ title: 'Dune' })]
const overspent = await find({ title: 'Ulysses' }).catch((error: unknown) => error)
const refused = await stranger
  .to(owner.self.id, library)
  .find({ title: 'Emma' })
  .catch((error: unknown) => error)
process.stdout.write(`${lines.join('\n')}\n`)

await Promise.all([reader, stranger, owner].map((mesh) => mesh.stop()))
assert.deepEqual(answers, [{ shelf: 4 }, { shelf: 4 }, { shelf: 4 }])
assert.ok(isParleyError(overspent, 'SEC002'))
assert.ok(isParleyError(refused, 'SEC001') && refused.hint === 'send it in the header token')
assert.deepEqual(lines, ['find ok', 'find ok', 'find SEC002', 'find SEC001'])
