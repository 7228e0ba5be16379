/**
 * An agent that answers by a language model: any endpoint that speaks the OpenAI chat API. Its words are streamed as they
 * come; a caller that leaves stops the model; other agents of the mesh are its tools.
 *
 * OPENAI_BASE_URL, OPENAI_MODEL and, where the endpoint wants one, OPENAI_API_KEY say which model.
 * `node examples/llm-agent.ts [QUESTION]`
 */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineProtocol, type Handlers, type Mesh, makeSecret } from '../node/index.ts'
import { type ChatMessage, type ChatSettings, chatRound } from './llm-agent-chat.ts'
import { runTool, toolsOf } from './llm-agent-tools.ts'
import { arithmetic, arithmeticHandlers } from './tool-agent.ts'

export const assistant = defineProtocol({
  name: 'assistant',
  version: '1.0.0',
  methods: {
    ask: {
      description: 'Answers a question in words, with the help of other agents of the mesh.',
      request: z.object({ question: z.string().min(1).max(100_000) }),
      stream: z.discriminatedUnion('type', [
        z.object({ type: z.literal('text'), text: z.string() }),
        z.object({ type: z.literal('tool'), name: z.string(), ok: z.boolean() }),
      ]),
      timeoutMs: 120_000,
    },
  },
})

/** How often the model may ask for tools before it has to answer. */
const MAX_ROUNDS = 6

const SYSTEM = 'You are an agent in a mesh of agents. Use the tools for what they do better than you. Answer briefly.'

/** @param tools names of protocols whose methods the model may call */
export const createAssistant = (
  mesh: Mesh,
  settings: ChatSettings,
  tools: readonly string[],
): Handlers<typeof assistant> => ({
  async *ask({ question }, { signal, remainingMs, progress }) {
    const messages: ChatMessage[] = [
      { role: 'system', content: SYSTEM },
      { role: 'user', content: question },
    ]
    for (let round = 1; round <= MAX_ROUNDS; round += 1) {
      const known = toolsOf(mesh, tools)
      // In the last round there are none, so that it ends with an answer.
      const offered = round === MAX_ROUNDS ? [] : [...known.values()].map(({ definition }) => definition)
      const { text, toolCalls } = yield* chatRound(settings, messages, offered, { signal, remainingMs })
      if (toolCalls.length === 0) return
      messages.push({
        role: 'assistant',
        content: text,
        tool_calls: toolCalls.map(({ id, ...call }) => ({ id, type: 'function', function: call })),
      })
      for (const call of toolCalls) {
        progress(undefined, `asks ${call.name}`)
        // Signal and time are those of the caller: what it does not wait for, nobody works on.
        const { ok, content } = await runTool(known, call, {
          signal,
          timeoutMs: Math.max(1, Math.floor(remainingMs())),
        })
        messages.push({ role: 'tool', tool_call_id: call.id, content })
        yield { type: 'tool', name: call.name, ok }
      }
    }
  },
})

if (import.meta.main) {
  const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, OPENAI_MODEL: model } = process.env
  if (!baseUrl || !model) {
    process.stdout.write(
      [
        'No model to ask. Set',
        '  OPENAI_BASE_URL  such as https://api.openai.com/v1, or http://127.0.0.1:11434/v1 for one on this machine',
        '  OPENAI_MODEL     the name of a model there that can call tools',
        '  OPENAI_API_KEY   where the endpoint wants a key',
        'and run this again.',
        '',
      ].join('\n'),
    )
    process.exit(0)
  }
  const question = process.argv[2] ?? 'What are the prime factors of 600851475143? Name them all.'
  const secret = makeSecret()
  const calculator = await createMesh({ name: 'calculator', secret })
  await calculator.serve(arithmetic, arithmeticHandlers)
  const agent = await createMesh({ name: 'assistant', secret, join: calculator.self.addresses })
  await agent.serve(assistant, createAssistant(agent, { baseUrl, apiKey, model }, ['arithmetic']))
  await agent.joined()
  const person = await createMesh({ name: 'person', secret, join: agent.self.addresses })
  await person.joined()

  let answer = ''
  for await (const piece of person.to(agent.self.id, assistant).ask({ question })) {
    if (piece.type === 'tool') process.stdout.write(`[${piece.name} ${piece.ok ? 'answered' : 'failed'}]\n`)
    else process.stdout.write(piece.text)
    if (piece.type === 'text') answer += piece.text
  }
  process.stdout.write('\n')
  await Promise.all([person, agent, calculator].map((mesh) => mesh.stop()))
  assert.notEqual(answer.trim(), '', 'the model said nothing')
}
