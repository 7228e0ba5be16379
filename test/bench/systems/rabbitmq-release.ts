/** Where Debian keeps RabbitMQ, and which release is there. */
import { existsSync, readdirSync } from 'node:fs'

/** The script inside the package; the one in PATH changes to another user. */
export const SCRIPT = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const RELEASES = '/usr/lib/rabbitmq/lib'

/** The release that is installed, or undefined. Asking the program itself would start a port mapper for good. */
export const rabbitVersion = (): string | undefined => {
  if (!existsSync(SCRIPT) || !existsSync(RELEASES)) return undefined
  return readdirSync(RELEASES)
    .map((name) => /^rabbitmq_server-(.+)$/.exec(name)?.[1])
    .find((version) => version !== undefined)
}
