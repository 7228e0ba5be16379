/**
 * Interceptors as programs write them, for tests: who has the token may call, send and publish; each caller has a budget;
 * what got through is written down. State: the budgets, and the lines.
 */
import { defineInterceptor, type Interceptor, ParleyError } from '../../node/index.ts'

export const TOKEN = 'let-me-in'
export const BUDGET = 6

const checkToken = ({ token }: Readonly<Record<string, string>>): void => {
  if (token !== TOKEN) throw new ParleyError('SEC001', 'the token is missing or wrong', { hint: 'ask for one' })
}

/** Of who is called. */
export const createGuards = (): { list: Interceptor[]; lines: string[] } => {
  const spent = new Map<string, number>()
  const lines: string[] = []
  const authentication = defineInterceptor({
    name: 'authentication',
    async serve(call, next) {
      checkToken(call.headers)
      return next()
    },
    async receive(message, next) {
      checkToken(message.headers)
      return next()
    },
    async hear(event, next) {
      checkToken(event.headers)
      return next()
    },
  })
  const budget = defineInterceptor({
    name: 'budget',
    after: ['authentication'],
    serve(call, next) {
      const used = (spent.get(call.peer) ?? 0) + 1
      spent.set(call.peer, used)
      if (used > BUDGET) throw new ParleyError('SEC002', `the budget of ${BUDGET} calls is spent`)
      return next()
    },
  })
  const audit = defineInterceptor({
    name: 'audit',
    after: ['budget'],
    async serve({ method, headers: { user } }, next) {
      const answer = await next()
      lines.push(`${user} called ${method}`)
      return answer
    },
    async receive({ type, headers: { user } }, next) {
      await next()
      lines.push(`${user} sent ${type}`)
    },
    async hear({ topic, headers: { user } }, next) {
      await next()
      lines.push(`${user} published ${topic}`)
    },
  })
  return { list: [audit, budget, authentication], lines }
}

/** Of who calls: the token goes with everything. */
export const withToken = (user: string): Interceptor => {
  const signed = <I extends { headers: Readonly<Record<string, string>> }>({ headers }: I) => ({
    headers: { ...headers, token: TOKEN, user },
  })
  return defineInterceptor({
    name: 'token',
    call: (call, next) => next(signed(call)),
    send: (message, next) => next(signed(message)),
    publish: (event, next) => next(signed(event)),
  })
}
