import type { DiagnosticState } from '../../../core/contract/diagnostics.ts';

/** What only this window can tell. `detail` and `how` are keys under `diagnostics`. */
export interface WindowCheck {
  id: 'gpu' | 'secure';
  state: DiagnosticState;
  detail: string;
  name: string;
  how?: string;
}

const software = /swiftshader|llvmpipe|software|basic render/i;

function gpu(): WindowCheck {
  try {
    const canvas = document.createElement('canvas');
    const gl = canvas.getContext('webgl');
    if (!gl) return { id: 'gpu', state: 'warning', detail: 'gpuNone', name: '', how: 'gpuHow' };
    const info = gl.getExtension('WEBGL_debug_renderer_info');
    const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER)).slice(0, 120);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    return software.test(name)
      ? { id: 'gpu', state: 'info', detail: 'gpuSoftware', name, how: 'gpuHow' }
      : { id: 'gpu', state: 'ok', detail: '', name };
  } catch {
    return { id: 'gpu', state: 'warning', detail: 'gpuNone', name: '', how: 'gpuHow' };
  }
}

const secure = (): WindowCheck =>
  window.isSecureContext
    ? { id: 'secure', state: 'ok', detail: 'secureYes', name: '' }
    : { id: 'secure', state: 'warning', detail: 'secureNo', name: '', how: 'secureHow' };

export const windowChecks = (): WindowCheck[] => [gpu(), secure()];
