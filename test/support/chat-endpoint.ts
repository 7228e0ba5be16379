/**
 * A small server that speaks the OpenAI chat API as far as agents use it: what it answers is a script, one step for each
 * request, and it keeps what it was asked. Another request than the script has is answered with 400.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'

export interface Asked {
  readonly path: string | undefined
  readonly authorization: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what the client wrote
  readonly body: any
  /** Resolves when the client went away before it had the whole answer. */
  readonly left: Promise<void>
}

/** Answers one request. */
export type Step = (response: ServerResponse, asked: Asked) => void | Promise<void>

const stream = (response: ServerResponse): void =>
  void response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
const event = (response: ServerResponse, data: unknown): void =>
  void response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
const delta = (fields: unknown, finish: string | null = null) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: fields, finish_reason: finish }],
})

/** These words, one chunk each, and the end. */
export const says =
  (...words: string[]): Step =>
  (response) => {
    stream(response)
    event(response, delta({ role: 'assistant', content: '' }))
    for (const content of words) event(response, delta({ content }))
    event(response, delta({}, 'stop'))
    event(response, '[DONE]')
    response.end()
  }

/** Wants tools called; each one's arguments come in pieces, as they do from models. */
export const calls =
  (...wanted: { name: string; arguments: string }[]): Step =>
  (response) => {
    stream(response)
    for (const [index, call] of wanted.entries()) {
      const part = (fields: unknown) => event(response, delta({ tool_calls: [{ index, ...Object(fields) }] }))
      part({ id: `call_${index}`, type: 'function', function: { name: call.name, arguments: '' } })
      for (const piece of call.arguments.match(/.{1,5}/gs) ?? []) part({ function: { arguments: piece } })
    }
    event(response, delta({}, 'tool_calls'))
    event(response, '[DONE]')
    response.end()
  }

export const refuses =
  (status: number, headers: Record<string, string> = {}, text = `{"error":{"message":"status ${status}"}}`): Step =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)

/** These words, and then the connection is gone. */
export const breaksAfter =
  (...words: string[]): Step =>
  async (response) => {
    stream(response)
    for (const content of words) event(response, delta({ content }))
    await new Promise((resolve) => response.write(': the end\n\n', resolve))
    response.destroy()
  }

/** These words, and then nothing for as long as the client stays. */
export const hangsAfter =
  (...words: string[]): Step =>
  (response) => {
    stream(response)
    for (const content of words) event(response, delta({ content }))
  }

/** Sends this text as the body of a stream, and ends. */
export const sends =
  (text: string): Step =>
  (response) => {
    stream(response)
    response.end(text)
  }

export interface ChatEndpoint {
  readonly baseUrl: string
  readonly asked: Asked[]
}

const bodyOf = async (request: IncomingMessage): Promise<unknown> => {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return JSON.parse(text)
}

export const startChatEndpoint = async (test: TestContext, steps: readonly Step[]): Promise<ChatEndpoint> => {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const left = Promise.withResolvers<void>()
    response.on('close', () => {
      if (!response.writableEnded) left.resolve()
    })
    const answer = async (): Promise<void> => {
      const { url: path, headers } = request
      const one = { path, authorization: headers.authorization, body: await bodyOf(request), left: left.promise }
      const step = steps[asked.length] ?? refuses(400, {}, 'the script is over')
      asked.push(one)
      await step(response, one)
    }
    answer().catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  test.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { baseUrl: `http://127.0.0.1:${port}/v1`, asked }
}
