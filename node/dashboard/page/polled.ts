/** What one view alone asks for, again and again while it is shown. State: the answer, while the view is on the page. */
import { useEffect, useState } from 'preact/hooks'
import * as store from './store.ts'

const PERIOD_MS = 3_000
const LIMIT_MS = 8_000

export interface Failure {
  readonly detail: string
  readonly hint: string
}

export const failureOf = async (response: Response): Promise<Failure> => {
  const problem = (await response.json().catch(() => ({}))) as Partial<Failure>
  return { detail: problem.detail ?? `the node answered ${response.status}`, hint: problem.hint ?? '' }
}

export const withKey = (): Record<string, string> =>
  store.key.value === '' ? {} : { authorization: `Bearer ${store.key.value}` }

export interface Polled<T> {
  readonly value: T | undefined
  readonly failure: Failure | undefined
  again(): void
}

/** @param path undefined: nothing is asked */
export const usePolled = <T>(path: string | undefined): Polled<T> => {
  const [state, setState] = useState<{ path?: string; value?: T; failure?: Failure }>({})
  const [turn, setTurn] = useState(0)
  const key = store.key.value
  useEffect(() => {
    if (path === undefined) return undefined
    const stop = new AbortController()
    let timer: number | undefined
    const ask = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(LIMIT_MS)])
          const response = await fetch(path, { signal, headers: withKey() })
          const next = response.ok ? { value: (await response.json()) as T } : { failure: await failureOf(response) }
          if (!stop.signal.aborted) setState({ path, ...next })
        } catch {
          // The page says that the node does not answer; what was shown stays.
        }
      }
      if (!stop.signal.aborted) timer = setTimeout(ask, PERIOD_MS)
    }
    void ask()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [path, turn, key])
  const isOf = state.path === path
  return {
    value: isOf ? state.value : undefined,
    failure: isOf ? state.failure : undefined,
    again: () => setTurn((before) => before + 1),
  }
}
