import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';

/** A server that took a connection and said nothing on it. */
export const SILENT = 'HYPERVUE_SILENT';

type Why = { why: Saying; fix: Saying };
const what = (why: Parameters<typeof say>[0], fix: Parameters<typeof say>[0] = 'fixCantReach'): Why => ({ why: say(why), fix: say(fix) });

/** By the codes of Node's sockets (errno(3), getaddrinfo(3)), TLS and HTTP parser. */
function reasons(code: string): Why | undefined {
  switch (code) {
    case 'ECONNREFUSED':
      return what('netRefused');
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return what('netUnknownName');
    case 'ETIMEDOUT':
    case SILENT:
      return what('netSilent');
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return what('netNoWay');
    case 'ECONNRESET':
    case 'EPIPE':
      return what('netClosed');
    // The first when TLS is spoken by itself, the second when HTTP writes on it.
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return what('netNoTls', 'fixServerPlain');
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return what('netNotVouched', 'fixCompareAgain');
    case 'CERT_HAS_EXPIRED':
      return what('netCertificateExpired', 'fixCompareAgain');
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return what('netCertificateName', 'fixCompareAgain');
    default:
      if (code.startsWith('HPE_')) return what('netNoHttp');
      return undefined;
  }
}

/** Why nobody could speak with the server at `host` (as it is shown; `url` for the report), as 'io-error' with what to do about that. */
export function unreachable(host: string, url: string, error: Error): HypervueError {
  const { code = '' } = error as NodeJS.ErrnoException;
  const timedOut = error.message === 'Opening handshake has timed out';
  const known = reasons(timedOut ? SILENT : code);
  const problem = known?.why ?? (code || error.message.slice(0, 200));
  return new HypervueError(
    'io-error',
    say('cantReach', { host, problem }),
    { object: url, operation: 'connect' },
    known?.fix ?? say('fixCantReach'),
    error,
  );
}
