/** What `parley doctor` says of the configuration, the secret and the certificate for WebSocket addresses; the secret itself is never shown. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isParleyError } from '../../../protocols/errors.ts'
import { octal, opensToOthers, readSmallFile } from '../../platform/private-file.ts'
import { classifySecret, isMountedForGroup, isStrongEnough, SECRET_ADVICE, secretWarning } from '../../trust/secret.ts'
import { type DoctorCheck, type Finding, fail, failOf, messageOf, ok, skipped, warn } from './check-finding.ts'

const configuration: DoctorCheck = {
  name: 'configuration',
  run({ configProblem, file, notices, given }) {
    const { name } = configuration
    if (configProblem !== undefined) return [failOf(name, configProblem)]
    const where = file === undefined ? 'no file; ' : `${file}; `
    const keys = given.size === 0 ? 'all at their defaults' : `set: ${[...given].sort().join(', ')}`
    const found = ok(name, where + keys)
    const [first, ...more] = notices
    if (first === undefined) return [found]
    return [warn(name, [first, ...more].join('; '), 'parley config show says where each value comes from')]
  },
}

const secret: DoctorCheck = {
  name: 'secret',
  run({ secretProblem, secrets, configProblem, options }) {
    const { name } = secret
    if (secretProblem !== undefined) return [failOf(name, secretProblem)]
    if (configProblem !== undefined) return [skipped(name, 'the configuration cannot be used')]
    if (secrets.length === 0)
      return [ok(name, 'none: the mesh stays on this machine, and all its processes are members')]
    const many = secrets.length > 1 ? `${secrets.length} secrets are accepted` : 'one secret'
    if (new Set(secrets).size < secrets.length)
      return [warn(name, 'the old and the new secret are the same', 'name two different ones, or one')]
    if (secrets.every((text) => classifySecret(text) === 'strong')) return [ok(name, `${many}, strong`)]
    const former = secretWarning(secrets)
    if (former !== undefined && secrets.every(isStrongEnough)) return [warn(name, `${many}; ${former}`, SECRET_ADVICE)]
    const which = secrets.length > 1 ? `${many}, of which not all are strong` : `${many}, which is weak`
    const seen = options.allowWeakSecret
      ? `${which}; allow_weak_secret accepts it`
      : `${which}; it is only accepted because nothing leaves this machine`
    return [warn(name, seen, 'make one with `parley secret` and give it to all nodes')]
  },
}

const CERTIFICATE = 'certificate'
const MAX_PEM_BYTES = 1 << 20
const DAY_MS = 86_400_000
/** Who renews certificates does so by then. */
const SOON_MS = 14 * DAY_MS

const judgeCertificate = (parsed: X509Certificate, certFile: string, nowMs: number): Finding => {
  const endsAt = Date.parse(parsed.validTo)
  const seen = `${certFile} is for ${parsed.subjectAltName ?? parsed.subject}, valid until ${parsed.validTo}`
  if (Date.parse(parsed.validFrom) > nowMs)
    return fail(CERTIFICATE, `${certFile} is valid from ${parsed.validFrom} on only`, 'see the clock of this machine')
  if (endsAt <= nowMs) return fail(CERTIFICATE, `${seen}, which is past`, 'renew it, and restart the node')
  return endsAt - nowMs < SOON_MS ? warn(CERTIFICATE, seen, 'renew it, and restart the node') : ok(CERTIFICATE, seen)
}

/** @throws STA003 where it cannot be read */
const readPem = async (path: string): Promise<{ pem: Buffer; isOpen: boolean; mode: number }> => {
  let [isOpen, mode] = [false, 0]
  const bytes = await readSmallFile(path, MAX_PEM_BYTES, async (handle) => {
    const file = await handle.stat()
    mode = file.mode
    isOpen = opensToOthers(mode) && !isMountedForGroup(file, process.getuid?.() ?? 0)
  })
  if (bytes === undefined) throw new Error(`${path} does not exist`)
  return { pem: Buffer.from(bytes), isOpen, mode }
}

const certificate: DoctorCheck = {
  name: CERTIFICATE,
  async run({ options: { tls } }) {
    if (tls === undefined) return []
    const todo = 'name a certificate and its key, both PEM'
    try {
      const [cert, key] = await Promise.all([readPem(tls.certFile), readPem(tls.keyFile)])
      const parsed = new X509Certificate(cert.pem)
      if (!parsed.checkPrivateKey(createPrivateKey(key.pem)))
        return [fail(CERTIFICATE, `${tls.keyFile} is not the key of ${tls.certFile}`, todo)]
      if (key.isOpen) {
        const seen = `${tls.keyFile} has mode ${octal(key.mode)}: others on this machine can read it`
        return [warn(CERTIFICATE, seen, `chmod 600 ${tls.keyFile}`)]
      }
      return [judgeCertificate(parsed, tls.certFile, Date.now())]
    } catch (error) {
      return [isParleyError(error) ? failOf(CERTIFICATE, error) : fail(CERTIFICATE, messageOf(error), todo)]
    }
  },
}

export const SETTING_CHECKS: readonly DoctorCheck[] = [configuration, secret, certificate]
