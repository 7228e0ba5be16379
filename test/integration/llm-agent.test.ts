/** The agent of examples/llm-agent.ts in a mesh, against a small server that speaks the API of language models. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { assistant, createAssistant } from '../../examples/llm-agent.ts'
import { arithmetic, arithmeticHandlers } from '../../examples/tool-agent.ts'
import { createMesh, defineProtocol, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { calls, hangsAfter, refuses, type Step, says, startChatEndpoint } from '../support/chat-endpoint.ts'
import { until } from '../support/until.ts'

const vault = defineProtocol({
  name: 'vault',
  version: '1.0.0',
  methods: { open: { request: z.unknown(), response: z.string() } },
})

/** A calculator and a vault, the agent, which may use the calculator alone, and somebody who asks. */
const start = async (t: TestContext, steps: readonly Step[]) => {
  const endpoint = await startChatEndpoint(t, steps)
  const secret = makeSecret()
  const meshes: Mesh[] = []
  t.after(() => Promise.all(meshes.map((mesh) => mesh.stop())))
  const node = async (name: string): Promise<Mesh> => {
    const mesh = await createMesh({ name, secret, log: 'silent', join: meshes.flatMap(({ self }) => self.addresses) })
    meshes.push(mesh)
    return mesh
  }
  const tools = await node('tools')
  await tools.serve(arithmetic, arithmeticHandlers)
  await tools.serve(vault, { open: () => 'gold' })
  const agent = await node('assistant')
  const settings = { baseUrl: endpoint.baseUrl, apiKey: undefined, model: 'small' }
  await agent.serve(assistant, createAssistant(agent, settings, ['arithmetic']))
  const person = await node('person')
  await Promise.all([agent.joined(), person.joined()])
  await until('the agent knows its tools', () => agent.directory.offers('vault', 1).length === 1)
  return { endpoint, ask: person.to(agent.self.id, assistant).ask }
}

const read = async (answer: ReturnType<Awaited<ReturnType<typeof start>>['ask']>) => {
  const pieces = []
  for await (const piece of answer) pieces.push(piece)
  return pieces
}
const text = (word: string) => ({ type: 'text', text: word })
const contentOf = (message: { content: string } | undefined): string => message?.content ?? ''

describe('an agent that answers by a language model', () => {
  test('uses an agent of the mesh as its tool, and streams its words', async (t) => {
    const { endpoint, ask } = await start(t, [
      calls({ name: 'arithmetic-factor', arguments: '{"number":221}' }),
      says('13 ', 'and 17'),
    ])
    assert.deepEqual(await read(ask({ question: 'factors of 221?' })), [
      { type: 'tool', name: 'arithmetic-factor', ok: true },
      text('13 '),
      text('and 17'),
    ])
    const [first, second] = endpoint.asked
    const [tool, ...others] = first?.body.tools ?? []
    assert.deepEqual(others, [], 'what it was not given is out of its reach')
    assert.equal(tool.function.name, 'arithmetic-factor')
    assert.match(tool.function.description, /prime factors/)
    assert.deepEqual(tool.function.parameters.required, ['number'])
    const [, , said, result] = second?.body.messages ?? []
    assert.equal(said.tool_calls[0].function.arguments, '{"number":221}')
    assert.deepEqual(result, { role: 'tool', tool_call_id: 'call_0', content: '{"factors":[13,17]}' })
  })

  test('tells the model what was wrong with its call, and goes on', async (t) => {
    const { endpoint, ask } = await start(t, [
      calls(
        { name: 'arithmetic-factor', arguments: '{"number":1}' },
        { name: 'arithmetic-factor', arguments: '{"number":' },
        { name: 'vault-open', arguments: '{}' },
      ),
      says('I cannot'),
    ])
    const pieces = await read(ask({ question: 'open the vault' }))
    assert.deepEqual(
      pieces.map((piece) => (piece.type === 'tool' ? piece.ok : piece.text)),
      [false, false, false, 'I cannot'],
    )
    const results = endpoint.asked[1]?.body.messages.slice(3).map(contentOf)
    assert.match(results[0], /^error: .*number/)
    assert.equal(results[1], 'error: the arguments are no JSON')
    assert.equal(results[2], 'error: there is no tool vault-open')
  })

  test('a model that only ever calls tools is stopped after six rounds', async (t) => {
    const again = calls({ name: 'arithmetic-factor', arguments: '{"number":6}' })
    const { endpoint, ask } = await start(t, [again, again, again, again, again, again, again])
    const pieces = await read(ask({ question: 'go on' }))
    assert.equal(endpoint.asked.length, 6)
    assert.equal(pieces.length, 6)
    assert.equal(endpoint.asked[5]?.body.tools, undefined, 'in the last round it has to answer')
  })

  test('whoever leaves in the middle stops the model', async (t) => {
    const { endpoint, ask } = await start(t, [hangsAfter('Once ', 'upon ')])
    for await (const piece of ask({ question: 'a long story' })) {
      assert.deepEqual(piece, text('Once '))
      break
    }
    await endpoint.asked[0]?.left
  })

  test('the time of the caller is that of the model', async (t) => {
    const { endpoint, ask } = await start(t, [hangsAfter('Well, ')])
    const error = await read(ask({ question: 'a long story' }, { timeoutMs: 700 })).catch((why: unknown) => why)
    assert.ok(isParleyError(error, 'COM001'), String(error))
    await endpoint.asked[0]?.left
  })

  test('an endpoint that is overloaded for longer than there is time is told as such', async (t) => {
    const { ask } = await start(t, [refuses(429, { 'retry-after': '600' })])
    const error = await read(ask({ question: 'anything' })).catch((why: unknown) => why)
    assert.ok(isParleyError(error, 'COM003'), String(error))
    assert.equal(error.details.retryAfterMs, 600_000)
  })
})

const EXAMPLES = ['tool-agent', 'http-service', 'custom-protocol', 'llm-agent']

/** Runs one as people do; none of the settings for a model unless given. */
const run = (name: string, env: Record<string, string> = {}) => {
  const { OPENAI_BASE_URL: _, OPENAI_MODEL: __, OPENAI_API_KEY: ___, ...rest } = process.env
  const file = fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [file], { env: { ...rest, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  return new Promise<{ code: number | null; said: string }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, said }))
  })
}

describe('the examples as programs', { concurrency: 2 }, () => {
  for (const name of EXAMPLES) {
    test(`${name} checks its own outcome`, async () => {
      const { code, said } = await run(name)
      assert.equal(code, 0, said)
      if (name === 'llm-agent') assert.match(said, /^No model to ask\. Set\n {2}OPENAI_BASE_URL .*\n {2}OPENAI_MODEL /)
    })
  }

  test('llm-agent asks the model that the environment names', async (t) => {
    const { baseUrl, asked } = await startChatEndpoint(t, [
      calls({ name: 'arithmetic-factor', arguments: '{"number":600851475143}' }),
      says('71, 839, 1471 and 6857'),
    ])
    const { code, said } = await run('llm-agent', { OPENAI_BASE_URL: baseUrl, OPENAI_MODEL: 'm', OPENAI_API_KEY: 'k' })
    assert.equal(code, 0, said)
    assert.match(said, /\[arithmetic-factor answered\]\n71, 839, 1471 and 6857/)
    assert.equal(asked[0]?.authorization, 'Bearer k')
    assert.match(contentOf(asked[1]?.body.messages.at(-1)), /\[71,839,1471,6857\]/)
  })
})
