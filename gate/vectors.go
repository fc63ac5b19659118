package gate

// The self-test's key and what it has signed. The private key is gone. The
// tokens are from 2027-01-15 to 2030-03-17; the self-test's clock stands between.

// selfTestModulus is the modulus of the RSA key, 2048 bits, base64url.
const selfTestModulus = `
28kQ1UIXQ3rQKVmgmLMXpA3Z_-i508-M1qNXsymNDTJBY8R_Qzvip2xlpQlQaRraBU1C5k4QuskpHpwp1GfKsHBxRCrOnJdx6-IBjymKs97Jlw
nDNcBbxGXo6LysK5XftFl1yEFkyXVglpbZuBLTBCz8IqjfguLDD4wXaUr0w2tZIknedn_oU2dvtxN8ES1S1bdfrEHuTos3Ztzi-I620UE20KFn
zTp43G935YHF9psbKiNEhKzxKeIOSbZ3LoXOM_dXKC7lBT82mYG2i4LayG1AxlVxDK8gjFVE1K6iw5_P7KIG3rjXYo_taYGZjNiNrZpC6Gfdma
b1Zs3I0W51ow`

// selfTestPayload is what the tokens say.
const selfTestPayload = `{"iss":"https://selftest.invalid/","sub":"alice","aud":["api","x"],` +
	`"exp":1900000000,"iat":1800000000,"org":"org1","scope":"read write","roles":["admin"],"azp":"client"}`

// selfTestSignatures are by algorithm, base64url. The header is
// {"alg":ALGORITHM,"kid":"k","typ":"JWT"}.
var selfTestSignatures = map[string]string{
	"RS256": `
1gOhMSDV_xCtu9479gWqKPHzymth1cjJuOpbb5ihKLLxiTYntwabUcHrkzG2UBRGSPCzUauGzmWgBul1iMr07K0gJfGvfepqmDxwwKKR5HML-7
dTOJuH4tF4Gz0F6BIHUi_SZnG2uFFjrjKXQvVDX1-G1YmnNBKBfE3ugGVzqbhaMk5zOiOnWLDtzGn5-dgdnl6yv83EUmeYQVPlT7Mzr57MTG1Z
drW8I9abmNEa1bv0hsyIyk5fEDyXrMY0qrzmMPm0BxD35l_-rtr5u3_aSMOxS5EUwbR3Qvyk2xooVRLemtbj1vLK_p12c5ifyoq47jvyme7SAd
uGpXzQGAqU5A`,
	"RS384": `
g7uIPzfmyI6rkEje7brtXSG23LCMJSIhsDL555gsyzrMzottXb4A4VsmEW2cmPrdFmNsxlxgnTfVIDOQMYxqRdvqATJU4u6mFYBZOFqp9sygFI
svOLEBgd0Iw7cxCS0f1BtHCTT5ZB78EmkR2zwuqLounEV7RmHkmQJLel5Z7jK91hoH8LQWMOtstOTPavk6b3M6Ee1GCPP_cnBvq02E90Up9bzj
8Z-pUHsaPKdvh4khXA_4-94UDIV4zzVfY1_byzqNG_S5PWch7_tc-o42B47agmfjGxyvHc58bpKOBUo5UVJ2nP0lxr6hYArq1xLK9A2XASVTIP
Pws8OWHaRmhw`,
	"RS512": `
LkuIl4OsaZbThvHvq4C18nYBEULdbY2vhb6FYM74XlB3kocRbO6oqY7_t-hj8mNndYKiBU_gyDFtNN5dUpm3_Ip_6j1xzUnMt0GDiPpY-E99l6
UvIyqJWnq_sLx85q1KOs_IfE53cCJnEioQqDSvzKBQ1AbP5dvPVMbo8DcNQKSV_oBjcWHTAvESQWSUI-hVgQZV7V4OGkEMWs8Zh3Ki9Qmffaru
EruFZklVwfoZMwTsCTCB6YXWsxAEIoO63tSLgZLwr5WY0J1bchFwWVGZrGAlbOfqqxCbjGmMJ6fFqZhN2grdjPVWujv813bDdmSPc-c2mg_Jub
y65yriK7Yz9w`,
	"PS256": `
nF4eyTbLaDd4AF39LmMd6gZG6-ICS4M_XsFWXwdlMk81C25VMwpqYuAkv9xzFcIAeKF60AUKnFBgZJ23Ie2DoL1Mxknd10nUtOhwl2RFbGEOBl
pti0eebfr69qr9VPvT67VIN4BuaQtq-FXiBGHksSV7OdUrFJQp1jvuBBj_5PhmmbFgnvizmDnT33b6yCFSTcFbXKoD32r69vTQcH2-i1eEYLzD
WErHQRZkM6Pm0biU6mdiFOylhglbRyrBB-673Y9mvje2RTaDQplDVMn-yfo4fUNzConWu4RW2-P1Tf6BGcdqCkpJvAgshS02oFL5eWZKfnJwXh
ZGpMAwzYH17A`,
	"PS384": `
AYamY-eE4-V9w5W-NfWzjuA3gN6z8VHY05eNSTQIb80Tm644olGVqmgiXmedlyQ31CdjpieC4emahUHpWmvo8IqBX-5nWuNPU-ba0eO0E6xJdL
JBr7Ey2NLlaimu5TiNsW-HrhRc7SXrOx3I1CkchaESAKGavzQjCXln_fxOlXdAWI84-zpYbdNMdK7zy3A_6CduaHvMwNLhb0IBQeqVEBTz709f
bOaA66IoN_QE1wA8zAmLRXvMnn90skG62vZu8BNMZdDdcYHOHJrt2ac14bE6J-egRBTmdfPf4dwc5-XhW1b91XEfBsee3WDC-8KjS5QlS4ycqQ
zh96ml3oIMFA`,
	"PS512": `
L1YAs_SlhTRKfBMpgJigZjsqf6pQqWjrg2-doEb-St-wfTwp_i0R5CJ3xFLWP-37hFvvMRBKirqRVLN_kMoFbxE92fAZI5ng38Pa9tOD07tPJP
2rj0VkHH54gPL5UxtAIAa3OjHn-iQvjxzGX8MX7IJWr6A7vF9yQ8GpPqji2znlCJevrkEIkJbD_h7BJDBYnC5EGqH21viG8yVV_zzV_ZTWbI54
_lzs6eqKK4aEcCMLgLdZjnZjSUtYMQkquA7MflzXVuvtolSG-S1YEH4TUbBMGeX_wb5CFdP-F705k09OKoODAy0NPmVLq2r8xc4g-icPkNcxkP
sgmuMTi-FUng`,
}
