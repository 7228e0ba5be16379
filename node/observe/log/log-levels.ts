/** The levels of the log, from the fewest lines to the most. In a file of its own, so that who only names them loads no log. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
