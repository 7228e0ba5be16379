/**
 * A goal with a budget: an editor has writers improve a text by a language model, again and again, and never thinks it good
 * enough. What stops it is its budget: nobody begins a model call whose tokens are not there, whoever it was passed on to.
 *
 * The model is a small server in this process that speaks the OpenAI chat API and counts what it was paid.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { createMesh, defineProtocol, isParleyError, makeSecret, ParleyError, type Slice } from '../node/index.ts'

// ── A model that costs ────────────────────────────────────────────────────────────────────────────────────────────

let paid = 0
const model = createServer(async (request, response) => {
  let body = ''
  for await (const piece of request) body += piece
  const { max_tokens: most } = z.object({ max_tokens: z.int() }).parse(JSON.parse(body))
  const total_tokens = Math.floor(most * (0.5 + Math.random() / 2))
  paid += total_tokens
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ choices: [{ message: { content: 'a better text' } }], usage: { total_tokens } }))
}).listen(0, '127.0.0.1')
await new Promise((resolve) => model.once('listening', resolve))
const { port } = model.address() as AddressInfo

const Completion = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z.object({ total_tokens: z.int() }),
})
interface Answer {
  readonly text: string
  readonly tokens: number
}
type AskModel = (prompt: string, mostTokens: number) => Promise<Answer>

const askModel: AskModel = async (prompt, max_tokens) => {
  const body = JSON.stringify({ model: 'small', max_tokens, messages: [{ role: 'user', content: prompt }] })
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', body })
  const { choices, usage } = Completion.parse(await response.json())
  return { text: choices[0]?.message.content ?? '', tokens: usage.total_tokens }
}

/** Around a model client: the most that a call may cost is reserved before it, and what it did cost is settled after it. */
const withinBudget =
  (ask: AskModel, budget: Slice | undefined): AskModel =>
  async (prompt, mostTokens) => {
    if (budget === undefined) throw new ParleyError('SEC002', 'this writer asks no model without a budget')
    const reserved = budget.reserve({ tokens: mostTokens })
    // A call that fails may have cost all of it: it is not settled, and counts as spent.
    const answer = await ask(prompt, mostTokens)
    reserved.settle({ tokens: answer.tokens })
    return answer
  }

// ── Writers, and an editor ────────────────────────────────────────────────────────────────────────────────────────

const writing = defineProtocol({
  name: 'writing',
  version: '1.0.0',
  methods: { improve: { request: z.object({ text: z.string() }), response: z.object({ text: z.string() }) } },
})

const BUDGET = 1_000
const EACH = 120
const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const secret = makeSecret()
const editor = await createMesh({ name: 'editor', secret, dataDir: join(folder, 'editor') })
const writers = await Promise.all(
  ['ann', 'ben'].map(async (name) => {
    const writer = await createMesh({ name, secret, join: editor.self.addresses })
    await writer.serve(writing, {
      async improve({ text }, { budget }) {
        const ask = withinBudget(askModel, budget)
        const draft = await ask(`improve: ${text}`, EACH / 2)
        const final = await ask(`polish: ${draft.text}`, EACH / 2)
        return { text: final.text }
      },
    })
    await writer.joined()
    return writer
  }),
)
await editor.coordinator.found()

const goal = await editor.budgets.open({ id: 'essay', amounts: { tokens: BUDGET } })
// Drawn before it is spent: also where this process is killed now, nobody else has it.
const draw = await goal.draw({ tokens: BUDGET })
let text = 'a text'
let rounds = 0
try {
  for (;;) {
    const writer = writers[rounds % writers.length]?.self.id ?? ''
    const budget = { of: draw.slice, amounts: { tokens: EACH } }
    text = (await editor.to(writer, writing).improve({ text }, { budget })).text
    rounds += 1
  }
} catch (error) {
  if (!isParleyError(error, 'COM003')) throw error
  process.stdout.write(`stopped after ${rounds} rounds: ${error.message}\n`)
}
await draw.settle()
const { spent, free } = await editor.budgets.tree('essay')
process.stdout.write(
  `${paid} tokens were paid, ${spent.tokens} are in the books, ${free.tokens} are left of ${BUDGET}\n`,
)

assert.ok(rounds >= Math.floor(BUDGET / EACH))
assert.equal(spent.tokens, paid)
assert.ok(paid <= BUDGET)
assert.ok((free.tokens ?? 0) < EACH)

await Promise.all(writers.map((writer) => writer.stop()))
await editor.stop()
model.close()
await rm(folder, { recursive: true, force: true })
