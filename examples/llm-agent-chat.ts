/**
 * The part of the OpenAI-compatible chat API that an agent needs: one round of a conversation, streamed.
 *
 * Keeps no state. A round is asked for again where that helps (429, 408, 5xx, no connection, a stream that broke before
 * its first word), when the endpoint says (Retry-After) or after 0.5 s, 1 s, 2 s, as long as the deadline is not passed
 * by waiting. What came of a round is given on piece by piece; nothing of the key is ever in an error.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { ParleyError } from '../node/index.ts'

export interface ChatSettings {
  /** As in https://api.openai.com/v1 */
  readonly baseUrl: string
  /** None for an endpoint that wants none, such as one on this machine. */
  readonly apiKey: string | undefined
  readonly model: string
}

export interface ToolCall {
  readonly id: string
  readonly name: string
  /** JSON, as the model wrote it: to be checked. */
  readonly arguments: string
}

export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | { readonly role: 'assistant'; readonly content: string; readonly tool_calls?: readonly unknown[] }
  | { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string }

export interface ToolDefinition {
  readonly type: 'function'
  readonly function: { readonly name: string; readonly description: string; readonly parameters: unknown }
}

/** Some words of the answer. */
export interface Words {
  readonly type: 'text'
  readonly text: string
}

export interface Round {
  readonly text: string
  readonly toolCalls: readonly ToolCall[]
}

export interface RoundOptions {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** Milliseconds that are left for it. */
  readonly remainingMs: () => number
}

const ATTEMPTS = 4
const FIRST_DELAY_MS = 500
/** Of one event; a longer one is not the API that this is for. */
const MAX_EVENT_CHARS = 1024 * 1024
/** Of one round, with what tools are called with. */
const MAX_ROUND_CHARS = 1024 * 1024
const MAX_TOOL_CALLS = 16
const MAX_COMPLAINT_CHARS = 300

const ChunkSchema = z.object({
  choices: z
    .array(
      z.object({
        delta: z
          .object({
            content: z.string().nullish(),
            tool_calls: z
              .array(
                z.object({
                  index: z
                    .int()
                    .min(0)
                    .max(MAX_TOOL_CALLS - 1),
                  id: z.string().nullish(),
                  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
})

/** What is worth another attempt, and when. */
class Retryable extends Error {
  readonly afterMs: number | undefined
  readonly status: number | undefined
  constructor(message: string, facts: { afterMs?: number | undefined; status?: number; cause?: unknown } = {}) {
    super(message, { cause: facts.cause })
    this.afterMs = facts.afterMs
    this.status = facts.status
  }
}

/** Seconds, or a date. */
const retryAfterMs = (value: string | null): number | undefined => {
  if (value === null || value.trim() === '') return undefined
  const seconds = Number(value)
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** The data of server-sent events, one string each. */
async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true })
    const lines = rest.split(/\r?\n/)
    rest = lines.pop() ?? ''
    if (rest.length > MAX_EVENT_CHARS) throw new Retryable(`an event of more than ${MAX_EVENT_CHARS} characters`)
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim()
  }
}

/** How an answer that is no stream begins. Some endpoints repeat the key in it. */
const complaintOf = async ({ body }: Response, apiKey: string | undefined): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (text.length > MAX_COMPLAINT_CHARS) break
  }
  return (apiKey ? text.replaceAll(apiKey, '…') : text).slice(0, MAX_COMPLAINT_CHARS)
}

const parseChunk = (data: string): z.output<typeof ChunkSchema> => {
  try {
    return ChunkSchema.parse(JSON.parse(data))
  } catch (cause) {
    throw new Retryable('the endpoint sent what is no chunk of a chat completion', { cause })
  }
}

/** One attempt; `heard` says whether something of it was given on. */
async function* attemptOnce(
  settings: ChatSettings,
  body: unknown,
  signal: AbortSignal,
  heard: { any: boolean },
): AsyncGenerator<Words, Round> {
  const response = await fetch(`${settings.baseUrl.replace(/\/+$/, '')}/chat/completions`, {
    method: 'POST',
    signal,
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(settings.apiKey === undefined ? {} : { authorization: `Bearer ${settings.apiKey}` }),
    },
    body: JSON.stringify(body),
  })
  const { status } = response
  if (!response.ok || response.body === null) {
    const complaint = await complaintOf(response, settings.apiKey)
    if (status === 408 || status === 429 || status >= 500)
      throw new Retryable(complaint, { status, afterMs: retryAfterMs(response.headers.get('retry-after')) })
    throw new ParleyError('APP001', `the model's endpoint answered ${status}: ${complaint}`, {
      hint: 'check OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL of the agent',
      details: { status },
    })
  }
  let text = ''
  let isWhole = false
  let chars = 0
  const calls: { id: string; name: string; arguments: string }[] = []
  for await (const data of eventsOf(response.body)) {
    if (data === '[DONE]') {
      isWhole = true
      break
    }
    for (const { delta, finish_reason } of parseChunk(data).choices) {
      if (typeof finish_reason === 'string') isWhole = true
      for (const part of delta?.tool_calls ?? []) {
        calls[part.index] ??= { id: '', name: '', arguments: '' }
        const call = calls[part.index]
        if (call === undefined) continue
        call.id ||= part.id ?? ''
        call.name += part.function?.name ?? ''
        call.arguments += part.function?.arguments ?? ''
        chars += (part.function?.name?.length ?? 0) + (part.function?.arguments?.length ?? 0)
      }
      chars += delta?.content?.length ?? 0
      if (chars > MAX_ROUND_CHARS)
        throw new ParleyError('APP001', `the model said more than ${MAX_ROUND_CHARS} characters`, {
          hint: 'ask for less at a time',
        })
      if (delta?.content) {
        text += delta.content
        heard.any = true
        yield { type: 'text', text: delta.content }
      }
    }
  }
  if (!isWhole) throw new Retryable('the stream ended in the middle')
  return { text, toolCalls: calls.filter((call) => call !== undefined && call.name !== '') }
}

const whyOf = (error: unknown): string =>
  error instanceof Error ? `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}` : ''

/**
 * One round: yields the words as they come, returns all of it with the tools that the model wants called.
 * @throws COM001 when the time is over, COM003 where the endpoint is overloaded for longer than there is time, COM002
 * where it cannot be reached or breaks off, APP001 where it refuses; the signal's reason when it is aborted
 */
export async function* chatRound(
  settings: ChatSettings,
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  { signal, remainingMs }: RoundOptions,
): AsyncGenerator<Words, Round> {
  const body = { model: settings.model, messages, stream: true, ...(tools.length > 0 && { tools }) }
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted()
    const deadline = AbortSignal.timeout(Math.max(1, Math.floor(remainingMs())))
    const heard = { any: false }
    try {
      return yield* attemptOnce(settings, body, AbortSignal.any([signal, deadline]), heard)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ParleyError) throw error
      if (deadline.aborted)
        throw new ParleyError('COM001', 'the model did not answer in time', { hint: 'give the call more time' })
      const { afterMs, status } = error instanceof Retryable ? error : { afterMs: undefined, status: undefined }
      const waitMs = afterMs ?? FIRST_DELAY_MS * 2 ** (attempt - 1)
      // Words that were given on cannot be taken back, so that a second attempt would say them twice.
      if (heard.any || attempt === ATTEMPTS || waitMs >= remainingMs()) {
        const isBusy = status === 429 || status === 503
        throw new ParleyError(
          isBusy ? 'COM003' : 'COM002',
          `the model's endpoint ${isBusy ? 'is overloaded' : 'failed'}: ${status ?? ''} ${whyOf(error)}`.trim(),
          {
            hint: isBusy ? 'try again later, or ask another agent' : 'see whether OPENAI_BASE_URL is right and up',
            details: { attempts: attempt, ...(afterMs !== undefined && { retryAfterMs: Math.round(afterMs) }) },
            cause: error,
          },
        )
      }
      await delay(waitMs, undefined, { signal })
    }
  }
}
