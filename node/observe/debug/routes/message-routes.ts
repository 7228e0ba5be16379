/**
 * The routes of the debug endpoint for durable messages.
 *
 * GET `/api/delivery`, `/api/dlq`, `/api/dlq/groups`, `/api/dlq/<id>`, `/api/conversations`, `/api/conversations/<id>`, `/api/inbox`. What
 * messages say is shown to whoever shows the key (request-guard.ts), and left out for others.
 * POST `/api/dlq/<id>/retry` (optionally `?to=<peer>`), DELETE `/api/dlq/<id>`, DELETE `/api/dlq` for all: with the key only,
 * and not from another origin. They are the only ones of the endpoint that change anything.
 */
import type { Context, Hono } from 'hono'
import type * as z from 'zod'
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'
import { jsonResponse, problemResponse } from '../../http/http-responses.ts'
import * as views from '../message-schemas.ts'
import { hasDebugKey, isCrossOrigin } from '../request-guard.ts'
import {
  ConversationsQuery,
  DeadLettersQuery,
  GroupsQuery,
  type HttpMethod,
  InboxQuery,
  RetryQuery,
} from './debug-operations.ts'

export interface MessageRoutesOptions {
  readonly messages: views.MessageSource
  /** Undefined: nobody has it. */
  readonly key: string | undefined
  /** Whoever gets here could read the key anyway: the control socket. */
  readonly isTrusted?: boolean
  refused(reason: 'key' | 'origin'): void
}

const STATUS: Partial<Record<ParleyError['code'], number>> = {
  STA001: 404,
  MSG001: 400,
  STA003: 409,
  COM003: 503,
  COM002: 503,
}

const failure = (error: ParleyError): Response =>
  problemResponse(
    STATUS[error.code] ?? 500,
    error.message,
    error.hint ?? "look at this node's log",
    {},
    { code: error.code },
  )

const hidden = (what: string): Response =>
  problemResponse(
    401,
    `${what} needs the key of this node`,
    'show the debugKey of node.json in its data directory as Bearer',
    {
      'www-authenticate': 'Bearer',
    },
  )

type Answer = (c: Context, isTrusted: boolean) => Response | Promise<Response>

/** @returns what was asked for, or the answer that says why it cannot be */
const queryOf = <S extends z.ZodType>(c: Context, schema: S): z.output<S> | Response => {
  const parsed = schema.safeParse(c.req.query())
  if (parsed.success) return parsed.data
  const what = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
  return problemResponse(400, `the query cannot be used: ${what}`, 'limit goes from 1 to 1000')
}

type Answers = Partial<Record<HttpMethod, Answer>>

const routesOf = (messages: views.MessageSource): Record<string, Answers> => ({
  '/api/delivery': { GET: () => jsonResponse(views.DeliverySchema.parse(messages.delivery())) },
  '/api/dlq': {
    async GET(c) {
      const query = queryOf(c, DeadLettersQuery)
      if (query instanceof Response) return query
      const found = await messages.deadLetters(query)
      return jsonResponse(views.DeadLettersSchema.parse({ ...messages.delivery().deadLetters, ...found }))
    },
    DELETE: async () => jsonResponse(views.PurgedSchema.parse({ purged: await messages.purge() })),
  },
  // Before the ids, of which it is none.
  '/api/dlq/groups': {
    async GET(c) {
      const query = queryOf(c, GroupsQuery)
      if (query instanceof Response) return query
      return jsonResponse(views.DeadLetterGroupsSchema.parse(await messages.letterGroups(query.by)))
    },
  },
  '/api/dlq/:id': {
    async GET(c, isTrusted) {
      const { data, headers, ...letter } = await messages.deadLetter(c.req.param('id') ?? '')
      return jsonResponse(
        views.DeadLetterDetailsSchema.parse(isTrusted ? { ...letter, headers, data } : { ...letter, isHidden: true }),
      )
    },
    DELETE: async (c) =>
      jsonResponse(views.PurgedSchema.parse({ purged: await messages.purge(c.req.param('id') ?? '') })),
  },
  '/api/dlq/:id/retry': {
    async POST(c) {
      const query = queryOf(c, RetryQuery)
      if (query instanceof Response) return query
      await messages.retry(c.req.param('id') ?? '', query.to)
      return jsonResponse(views.RetriedSchema.parse({ retried: 1 }))
    },
  },
  '/api/conversations': {
    GET(c) {
      const query = queryOf(c, ConversationsQuery)
      if (query instanceof Response) return query
      return jsonResponse(views.ConversationsSchema.parse(messages.conversations(query.limit)))
    },
  },
  '/api/conversations/:id': {
    GET(c, isTrusted) {
      const conversation = messages.conversation(c.req.param('id') ?? '')
      if (conversation.messages.length === 0)
        return problemResponse(404, 'nothing is remembered of this conversation', 'see /api/conversations')
      if (isTrusted) return jsonResponse(views.ConversationSchema.parse(conversation))
      const without = conversation.messages.map(({ data: _, ...message }) => message)
      return jsonResponse(views.ConversationSchema.parse({ ...conversation, messages: without, isHidden: true }))
    },
  },
  '/api/inbox': {
    async GET(c) {
      const query = queryOf(c, InboxQuery)
      if (query instanceof Response) return query
      return jsonResponse(views.InboxSchema.parse(await messages.inbox(query)))
    },
  },
})

const notAllowed = (c: Context, answers: Answers): Response => {
  const allowed = Object.keys(answers).flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one]))
  return problemResponse(405, `${c.req.path.slice(0, 200)} cannot be used with ${c.req.method}`, `use ${allowed[0]}`, {
    allow: allowed.join(', '),
  })
}

/** @returns undefined where the request may change something */
const refusalOf = (c: Context, isTrusted: boolean, refused: MessageRoutesOptions['refused']): Response | undefined => {
  if (isCrossOrigin((name) => c.req.header(name))) {
    refused('origin')
    return problemResponse(403, 'a web page of another origin changes nothing here', 'use `parley dlq`')
  }
  if (isTrusted) return undefined
  refused('key')
  return hidden('changing something')
}

/** @returns the paths, for people */
export const addMessageRoutes = (app: Hono, options: MessageRoutesOptions): string[] => {
  const routes = routesOf(options.messages)
  for (const [path, answers] of Object.entries(routes)) {
    app.all(path, async (c) => {
      const method = c.req.method === 'HEAD' ? 'GET' : c.req.method
      const answer = Object.hasOwn(answers, method) ? answers[method as HttpMethod] : undefined
      if (answer === undefined) return notAllowed(c, answers)
      const isTrusted = options.isTrusted === true || hasDebugKey(c.req.header('authorization'), options.key)
      const refusal = method === 'GET' ? undefined : refusalOf(c, isTrusted, (reason) => options.refused(reason))
      if (refusal !== undefined) return refusal
      try {
        return await answer(c, isTrusted)
      } catch (error) {
        if (isParleyError(error)) return failure(error)
        throw error
      }
    })
  }
  return Object.keys(routes).map((path) => path.replace(':id', '<id>'))
}
