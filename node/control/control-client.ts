/** The other end of the control socket: one request at a time, or a stream. Each request is a connection. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import * as z from 'zod'
import { ParleyError } from '../../protocols/errors.ts'
import { systemCode } from '../platform/private-file.ts'
import { errorOf, NO_AGENT } from './control-schemas.ts'
import { readNdjsonFeed } from './ndjson.ts'

const ASK_MS = 30_000
/** A stream of which nothing comes for so long is dead: the node sends an empty line each 10 s. */
const SILENT_MS = 45_000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

export interface ControlRequestOptions {
  body?: unknown
  signal?: AbortSignal | undefined
  /** Milliseconds until the answer is there, 30,000 unless told. */
  timeoutMs?: number
}

export interface ControlClient {
  /** @throws what the node answers; COM002 where it cannot be reached or is gone, COM001 where it does not answer */
  ask<S extends z.ZodType>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    schema: S,
    options?: ControlRequestOptions,
  ): Promise<z.output<S>>
  /** The items of a stream; leaving the loop ends it at the node too. @throws as `ask`, and what the stream ends with */
  stream<S extends z.ZodType>(
    path: string,
    schema: S,
    options: { body: unknown; signal?: AbortSignal | undefined },
  ): AsyncGenerator<z.output<S>, void, undefined>
}

const Problem = z.object({
  status: z.number(),
  detail: z.string(),
  hint: z.string(),
  code: z.string().optional(),
  reason: z.string().optional(),
})

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const textOf = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`it answered with more than ${MAX_ANSWER_BYTES} bytes`)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const goneError = (name: string, cause?: unknown): ParleyError =>
  new ParleyError('COM002', `the node ${name} is gone: the connection to it broke off`, {
    hint: 'it ended or was killed; see its log, and start it again with parley up',
    cause,
  })

/** Why there was no connection. */
const unreachableError = (name: string, path: string, cause: unknown): ParleyError => {
  const code = systemCode(cause)
  if (code === 'EACCES' || code === 'EPERM') {
    return new ParleyError('SEC002', `the control socket of ${name} belongs to another user`, {
      hint: 'run this as the user that runs the node',
      details: { path },
      cause,
    })
  }
  if (code === 'ECONNREFUSED' || code === 'ENOENT') {
    return new ParleyError('COM002', `the node ${name} does not listen at ${path}`, {
      hint: 'it ended meanwhile, or is stopping; start it again with parley up',
      details: { path },
      cause,
    })
  }
  return code === 'ECONNRESET' || code === 'EPIPE'
    ? goneError(name, cause)
    : new ParleyError(
        'COM002',
        `the node ${name} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
        { hint: 'see its log', details: { path }, cause },
      )
}

/** @param name of the node, for people @param path of its socket */
export const createControlClient = (name: string, path: string): ControlClient => {
  const gone = (cause?: unknown): ParleyError => goneError(name, cause)
  const silent = (ms: number): ParleyError =>
    new ParleyError('COM001', `the node ${name} did not answer within ${Math.round(ms / 1000)} s`, {
      hint: 'it is busy, or was frozen; see its log',
    })

  /** @throws unreachable, or the signal's reason */
  const open = (method: string, url: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const sent = httpRequest({
        socketPath: path,
        path: url,
        method,
        signal,
        agent: false,
        headers: {
          host: 'localhost',
          ...(text !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          }),
        },
      })
      sent.on('error', (error) => reject(signal.aborted ? signal.reason : unreachableError(name, path, error)))
      sent.on('response', resolve)
      sent.end(text)
    })

  const refusal = (status: number, text: string): ParleyError => {
    const problem = Problem.safeParse(parse(text)).data
    if (problem === undefined) {
      return new ParleyError('MSG003', `${path} is not the control socket of a parley node`, {
        hint: 'see `parley --version`: the command and the node may be of different versions',
      })
    }
    const { detail: message, hint, code = status === 404 ? 'MSG004' : 'APP001', reason } = problem
    return errorOf({
      ...{ code, message, hint, remote: reason !== NO_AGENT },
      ...(reason !== undefined && { details: { reason } }),
    })
  }

  return {
    async ask(method, url, schema, { body, signal, timeoutMs = ASK_MS } = {}) {
      const limit = AbortSignal.timeout(timeoutMs)
      const either = signal === undefined ? limit : AbortSignal.any([signal, limit])
      let status: number
      let text: string
      try {
        const response = await open(method, url, body, either)
        status = response.statusCode ?? 0
        text = await textOf(response)
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason
        if (limit.aborted) throw silent(timeoutMs)
        throw error instanceof ParleyError ? error : gone(error)
      }
      if (status >= 400) throw refusal(status, text)
      const parsed = schema.safeParse(parse(text))
      if (parsed.success) return parsed.data
      throw refusal(status, '')
    },
    async *stream(url, schema, { body, signal }) {
      const leave = new AbortController()
      const either = signal === undefined ? leave.signal : AbortSignal.any([signal, leave.signal])
      try {
        const response = await open('POST', url, body, either)
        response.setTimeout(SILENT_MS, () => leave.abort(silent(SILENT_MS)))
        if ((response.statusCode ?? 0) >= 400) throw refusal(response.statusCode ?? 0, await textOf(response))
        yield* readNdjsonFeed(response, schema, gone)
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason
        if (leave.signal.aborted) throw leave.signal.reason
        throw error instanceof ParleyError ? error : gone(error)
      } finally {
        leave.abort(new ParleyError('COM001', 'the reader left', { hint: 'nobody waits for this any more' }))
      }
    },
  }
}
